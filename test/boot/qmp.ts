/**
 * A client of QEMU's machine protocol (QMP), as small as the tests need.
 *
 * 1. One line of JSON for each message; the greeting is answered with `qmp_capabilities`.
 * 2. Answers come in the order of the commands; events between them go to a listener.
 */
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

export interface QmpEvent {
  readonly event: string
  readonly data?: { readonly reason?: string }
}

type Message = QmpEvent | { readonly return: unknown } | { readonly error: unknown } | object

interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** How long QEMU may take to open its socket. */
const CONNECT_TRIES = 600
const CONNECT_PAUSE_MS = 50

export class Qmp {
  readonly #socket: Socket
  readonly #waiting: Waiting[] = []

  private constructor(socket: Socket, onEvent: (event: QmpEvent) => void) {
    this.#socket = socket
    const lines = createInterface({ input: socket })
    lines.on('line', (line) => this.#take(JSON.parse(line), onEvent))
    socket.on('close', () => this.#fail(new Error('QEMU has closed its socket')))
    socket.on('error', (error) => this.#fail(error))
  }

  /** Waits for the socket while `isThere` says that QEMU has not ended. */
  static async connect(
    path: string,
    onEvent: (event: QmpEvent) => void,
    isThere: () => boolean,
  ): Promise<Qmp> {
    for (let tries = 0; ; tries += 1) {
      const socket = createConnection(path)
      try {
        await once(socket, 'connect')
        const qmp = new Qmp(socket, onEvent)
        await qmp.execute('qmp_capabilities')
        return qmp
      } catch (cause) {
        socket.destroy()
        if (tries >= CONNECT_TRIES || !isThere()) throw cause
        await sleep(CONNECT_PAUSE_MS)
      }
    }
  }

  /** Runs a command and waits for its answer. */
  execute(command: string): Promise<void> {
    const answered = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
    })
    this.#socket.write(`${JSON.stringify({ execute: command })}\n`)
    return answered
  }

  /** What was not answered yet was taken: a reset's event may come before its answer. */
  close(): void {
    for (const { resolve } of this.#waiting.splice(0)) resolve()
    this.#socket.destroy()
  }

  #take(message: Message, onEvent: (event: QmpEvent) => void): void {
    if ('event' in message) onEvent(message)
    else if ('return' in message) this.#waiting.shift()?.resolve()
    else if ('error' in message) {
      this.#waiting.shift()?.reject(new Error(`QEMU: ${JSON.stringify(message.error)}`))
    }
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }
}
