/**
 * A client of QEMU's machine protocol (QMP), as small as the tests need.
 *
 * 1. One line of JSON for each message; the greeting is answered with `qmp_capabilities`.
 * 2. Answers come in the order of the commands; events between them are passed over.
 */
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { createInterface, type Interface } from 'node:readline'

export class Qmp {
  readonly #socket: Socket
  readonly #answers: AsyncIterator<string>

  private constructor(socket: Socket, lines: Interface) {
    this.#socket = socket
    this.#answers = lines[Symbol.asyncIterator]()
  }

  static async connect(path: string): Promise<Qmp> {
    const socket = createConnection(path)
    await once(socket, 'connect')
    const qmp = new Qmp(socket, createInterface({ input: socket }))
    await qmp.#answers.next()
    await qmp.execute('qmp_capabilities')
    return qmp
  }

  /** Runs a command and waits for its answer. */
  async execute(command: string): Promise<void> {
    this.#socket.write(`${JSON.stringify({ execute: command })}\n`)
    for (;;) {
      const { value, done } = await this.#answers.next()
      if (done) throw new Error(`QEMU ended before it answered ${command}`)
      const message: Record<string, unknown> = JSON.parse(String(value))
      if ('error' in message) throw new Error(`${command}: ${JSON.stringify(message.error)}`)
      if ('return' in message) return
    }
  }

  close(): void {
    this.#socket.destroy()
  }
}
