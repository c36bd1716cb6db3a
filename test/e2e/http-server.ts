/**
 * Serves files of this machine to guests, with ranges, as any web server does.
 *
 * 1. It listens on the loopback; QEMU's guests reach it as 10.0.2.2.
 * 2. `breakOnce` ends one connection in the middle of a file, as a broken line does.
 * 3. What is posted is kept, whatever its address.
 */
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { basename } from 'node:path'
import { pipeline } from 'node:stream/promises'

const GUEST_SEES = '10.0.2.2'

export class FileServer implements AsyncDisposable {
  /** `METHOD /NAME RANGE STATUS` of every request. */
  readonly requests: string[] = []
  readonly #files = new Map<string, string>()
  readonly #breaks = new Map<string, number>()
  readonly #bodies: string[] = []
  readonly #server: Server
  readonly #port: number

  private constructor(server: Server, port: number) {
    this.#server = server
    this.#port = port
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(request, response).catch(() => response.destroy())
    })
  }

  static async start(): Promise<FileServer> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (typeof address !== 'object' || address === null) throw new Error('no port')
    return new FileServer(server, address.port)
  }

  /** Offers a file; returns its address as a guest sees it. */
  offer(path: string, name = basename(path)): string {
    this.#files.set(name, path)
    return this.addressOf(name)
  }

  /** Where a guest reaches `name`, whether it is there or not. */
  addressOf(name: string): string {
    return `http://${GUEST_SEES}:${this.#port}/${name}`
  }

  /** The first answer with this byte of `name` behind others ends before it. */
  breakOnce(name: string, byte: number): void {
    this.#breaks.set(name, byte)
  }

  /** Whether a connection is still to be broken. */
  get isUnbroken(): boolean {
    return this.#breaks.size > 0
  }

  /** What was posted, in order. */
  get posted(): readonly string[] {
    return this.#bodies
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const name = decodeURIComponent((request.url ?? '/').slice(1))
    const range = request.headers.range ?? ''
    const path = this.#files.get(name)
    response.on('close', () => {
      this.requests.push(`${request.method} /${name} ${range} ${response.statusCode}`)
    })
    if (request.method === 'POST') {
      const pieces: Buffer[] = []
      for await (const piece of request) pieces.push(Buffer.from(piece))
      this.#bodies.push(Buffer.concat(pieces).toString())
      response.writeHead(204).end()
      return
    }
    if (path === undefined) {
      response.writeHead(404).end()
      return
    }
    await this.#send(path, name, { request, response })
  }

  async #send(
    path: string,
    name: string,
    { request, response }: { request: IncomingMessage; response: ServerResponse },
  ): Promise<void> {
    const { size } = await stat(path)
    const asked = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
    const start = asked === null ? 0 : Number(asked[1])
    const last = asked?.[2] ? Math.min(Number(asked[2]), size - 1) : size - 1
    if (start > last) {
      response.writeHead(416, { 'content-range': `bytes */${size}` }).end()
      return
    }
    response.writeHead(asked === null ? 200 : 206, {
      'accept-ranges': 'bytes',
      'content-length': String(last - start + 1),
      etag: `"${name}-${size}"`,
      ...(asked === null ? {} : { 'content-range': `bytes ${start}-${last}/${size}` }),
    })
    if (request.method === 'HEAD') {
      response.end()
      return
    }
    const end = this.#breaks.get(name)
    if (end === undefined || end <= start || end > last) {
      await pipeline(createReadStream(path, { start, end: last }), response)
      return
    }
    this.#breaks.delete(name)
    await pipeline(createReadStream(path, { start, end: end - 1 }), response, { end: false })
    response.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
