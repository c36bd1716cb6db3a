/**
 * One GET of one range, into a buffer of the caller's.
 *
 * 1. Ask for the range, without any coding.
 * 2. Judge the head (http-response.ts) before a byte of the body is taken.
 * 3. Count the body: not more than was announced, not less, and never idle for too long.
 *
 * node's http modules and not fetch: fetch decodes gzip whatever was asked, copies each body once
 * more, and lets nobody limit the headers of one request. No dependency is needed for either.
 *
 * Never rejects: what came of it is a value. Not promised: that the bytes are right.
 */
import * as http from 'node:http'
import * as https from 'node:https'
import { connectionFault, type Fault, final, transient } from './http-fault.ts'
import { type AskedRange, type ImageVersion, judgeRange } from './http-response.ts'
import type { RateWatch } from './rate-watch.ts'

/** Connections to servers, and what is demanded of them. */
export interface HttpClient {
  readonly http: http.Agent
  readonly https: https.Agent
  readonly idleMs: number
  readonly headerBytes: number
  readonly watch: RateWatch
}

export interface RangeRequest {
  readonly url: URL
  /** In the file, in bytes. */
  readonly offset: number
  readonly into: Uint8Array
  /** Absent in the first request. */
  readonly known?: ImageVersion
}

/** `received` bytes are in the buffer, from its start. */
export type RangeResult =
  | { readonly kind: 'done'; readonly version: ImageVersion; readonly received: number }
  | { readonly kind: 'redirect'; readonly location: string | undefined }
  | { readonly kind: 'failed'; readonly fault: Fault; readonly received: number }

const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308]

export function getRange(client: HttpClient, ask: RangeRequest): Promise<RangeResult> {
  return new Promise((resolve) => {
    const request = send(client, ask)
    let received = 0
    let settled = false
    const settle = (result: RangeResult): void => {
      if (settled) return
      settled = true
      clearTimeout(idle)
      client.watch.end(fail)
      if (result.kind !== 'done') request.destroy()
      resolve(result)
    }
    const fail = (fault: Fault): void => settle({ kind: 'failed', fault, received })
    const idle = setTimeout(() => {
      fail(transient(`the server sends nothing for ${client.idleMs / 1_000} s`))
    }, client.idleMs)
    client.watch.begin(fail)
    request.on('error', (cause) => fail(lostConnection(request, cause)))
    request.on('response', (response) => {
      idle.refresh()
      const body = acceptBody(response, ask)
      if (body.kind !== 'range') return settle(body)
      response.on('data', (chunk: Buffer) => {
        idle.refresh()
        client.watch.count(chunk.length)
        if (settled) return
        if (received + chunk.length > body.length) return fail(TOO_LONG)
        ask.into.set(chunk, received)
        received += chunk.length
      })
      response.on('error', (cause) => fail(connectionFault(cause)))
      response.on('close', () => {
        if (received === body.length) settle({ kind: 'done', version: body.version, received })
        else fail(transient(`the server ends after ${received} of ${body.length} bytes`))
      })
    })
  })
}

function send(client: HttpClient, { url, offset, into }: RangeRequest): http.ClientRequest {
  const secure = url.protocol === 'https:'
  const options = {
    method: 'GET',
    agent: secure ? client.https : client.http,
    maxHeaderSize: client.headerBytes,
    headers: {
      range: `bytes=${offset}-${offset + into.length - 1}`,
      'accept-encoding': 'identity',
      'user-agent': 'osflash',
    },
  }
  const request = secure ? https.request(url, options) : http.request(url, options)
  request.end()
  return request
}

type AcceptedBody =
  | { readonly kind: 'range'; readonly version: ImageVersion; readonly length: number }
  | Exclude<RangeResult, { kind: 'done' }>

function acceptBody(response: http.IncomingMessage, ask: RangeRequest): AcceptedBody {
  const { statusCode: status = 0, headers } = response
  if (REDIRECTS.includes(status)) return { kind: 'redirect', location: headers.location }
  const { offset, into, known } = ask
  const asked: AskedRange = { offset, length: into.length, ...(known && { known }) }
  const judged = judgeRange({ status, headers }, asked)
  return judged.kind === 'range' ? judged : { kind: 'failed', fault: judged.fault, received: 0 }
}

/** A kept connection may be closed by the server just as it is used again: no sign of trouble. */
function lostConnection(request: http.ClientRequest, cause: unknown): Fault {
  const fault = connectionFault(cause)
  return request.reusedSocket && fault.transient ? { ...fault, afterMs: 0 } : fault
}

const TOO_LONG = final('the server sends more than it announced', ['use another server'])
