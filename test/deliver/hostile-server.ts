/**
 * A real server that serves one file in ranges, and does what a test tells it instead.
 *
 * 1. Without an answer of the test's own it is a good server: 206, Content-Range, strong ETag.
 * 2. `spoil` is asked first, with the number of the request; it answers, or gives `undefined`.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** Larger than the front that a source keeps. */
export const FILE = Uint8Array.from({ length: 400_000 }, (_, i) => (i * 31 + (i >> 8)) % 251)
export const ETAG = '"v1"'

export interface Asked {
  /** Of the request, from 0. */
  readonly number: number
  readonly path: string
  /** The asked range; `end` is behind its last byte, within the file. */
  readonly start: number
  readonly end: number
  readonly headers: IncomingMessage['headers']
}

/** Answers and gives `true`, or leaves the request to the good server. */
export type Spoil = (asked: Asked, response: ServerResponse) => true | undefined

export interface HostileServer {
  readonly url: string
  readonly host: string
  readonly asked: readonly Asked[]
  /** The greatest number of requests that were under way together. */
  most(): number
}

interface ServerOptions {
  readonly file?: Uint8Array
  readonly tls?: { readonly key: string; readonly cert: string }
}

export async function serve(spoil: Spoil, options: ServerOptions = {}): Promise<HostileServer> {
  const file = options.file ?? FILE
  const asked: Asked[] = []
  let underWay = 0
  let most = 0
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    underWay += 1
    most = Math.max(most, underWay)
    response.on('close', () => {
      underWay -= 1
    })
    const one = parse(request, { number: asked.length, fileBytes: file.length })
    asked.push(one)
    if (spoil(one, response) !== true) sendGood(one, response, { file })
  }
  const server = options.tls ? createTlsServer(options.tls, answer) : createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  const host = `127.0.0.1:${port}`
  const scheme = options.tls ? 'https' : 'http'
  return { url: `${scheme}://${host}/image.osimg`, host, asked, most: () => most }
}

function parse(
  request: IncomingMessage,
  { number, fileBytes }: { readonly number: number; readonly fileBytes: number },
): Asked {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
  const end = Math.min(Number(last) + 1, fileBytes)
  return { number, path: request.url ?? '', start: Number(first), end, headers: request.headers }
}

/** What differs from a good answer. */
export interface Differences {
  readonly file?: Uint8Array
  readonly status?: number
  readonly headers?: Readonly<Record<string, string | undefined>>
  readonly body?: Uint8Array
}

/** The good answer, with differences; a header of `undefined` is left out. */
export function sendGood(asked: Asked, response: ServerResponse, other: Differences = {}): true {
  const file = other.file ?? FILE
  const { start, end } = asked
  const headers = {
    'content-range': `bytes ${start}-${end - 1}/${file.length}`,
    'content-length': String(end - start),
    etag: ETAG,
    ...other.headers,
  }
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) response.setHeader(name, value)
  }
  response.writeHead(other.status ?? 206)
  response.end(other.body ?? file.subarray(start, end))
  return true
}
