/**
 * Judges the head of an answer to a request for a range (RFC 9110, sections 14 and 15.3.7).
 *
 * 1. Only 206 with one part that begins at the asked byte and has the asked length.
 * 2. The total size and the strong ETag are the same in every answer: the same file.
 * 3. No coding of any kind: bytes are counted as they are sent.
 *
 * Pure. Not promised: that the body is as long as the head says; that is counted as it comes.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { type Fault, final, transient } from './http-fault.ts'

/** What stays the same while one file is read. */
export interface ImageVersion {
  /** Size of the whole file in bytes. */
  readonly total: number
  /** Strong; with its quotes. */
  readonly etag: string
}

export interface AskedRange {
  readonly offset: number
  readonly length: number
  /** Absent in the first request, whose answer may end earlier because the file does. */
  readonly known?: ImageVersion
}

export interface ResponseHead {
  readonly status: number
  readonly headers: IncomingHttpHeaders
}

/** The range that is coming, with its length in bytes; or the fault. */
export type RangeJudgement =
  | { readonly kind: 'range'; readonly version: ImageVersion; readonly length: number }
  | { readonly kind: 'fault'; readonly fault: Fault }

export function judgeRange(head: ResponseHead, asked: AskedRange): RangeJudgement {
  const refused = statusFault(head) ?? codingFault(head.headers)
  if (refused !== undefined) return { kind: 'fault', fault: refused }
  const range = parseContentRange(head.headers['content-range'])
  if (range === undefined) {
    return wrong('the server does not say which range of how much it sends')
  }
  const { first, last, total } = range
  const expectedLast = Math.min(asked.offset + asked.length, total) - 1
  if (first !== asked.offset || last !== expectedLast) {
    return wrong(
      `the server sends bytes ${first} to ${last}, not ${asked.offset} to ${expectedLast}`,
    )
  }
  const length = last - first + 1
  const announced = head.headers['content-length']
  if (announced !== undefined && announced !== String(length)) {
    return wrong(`the server announces ${announced} bytes for a range of ${length}`)
  }
  return judgeVersion({ total, length, etag: head.headers.etag }, asked.known)
}

interface SeenVersion {
  readonly total: number
  readonly length: number
  readonly etag: string | undefined
}

function judgeVersion(seen: SeenVersion, known: ImageVersion | undefined): RangeJudgement {
  const { total, length, etag } = seen
  if (known !== undefined && known.total !== total) {
    return changed(`the file has ${total} bytes now, not ${known.total}`)
  }
  if (etag === undefined || !/^"[\x21\x23-\x7e\x80-\xff]*"$/.test(etag)) {
    return wrong('the server gives no strong ETag, so a change of the file would not be seen')
  }
  if (known !== undefined && known.etag !== etag) return changed('the ETag of the file changed')
  return { kind: 'range', version: { total, etag }, length }
}

const TRANSIENT_STATUS: readonly number[] = [408, 425, 429, 500, 502, 503, 504]

function statusFault({ status, headers }: ResponseHead): Fault | undefined {
  if (status === 206) return undefined
  if (status === 200) {
    return final('the server answers a range with the whole file (200)', RANGE_HINTS, { status })
  }
  const what = `the server answers ${status}`
  if (!TRANSIENT_STATUS.includes(status)) {
    return final(what, ['look at the address: curl -I ADDRESS'], { status })
  }
  const seconds = /^\d{1,6}$/.test(headers['retry-after'] ?? '')
    ? headers['retry-after']
    : undefined
  return transient(what, {
    status,
    ...(seconds === undefined ? {} : { afterMs: Number(seconds) * 1_000 }),
  })
}

function codingFault(headers: IncomingHttpHeaders): Fault | undefined {
  const content = headers['content-encoding'] ?? 'identity'
  const transfer = headers['transfer-encoding'] ?? 'chunked'
  const coding = content.toLowerCase() === 'identity' ? transfer : content
  if (coding.toLowerCase() !== 'chunked') {
    return final(`the server encodes the file (${coding}) although it was asked not to`, [
      'turn compression off for .osimg files on the server: they are compressed already',
    ])
  }
  if (headers['content-type']?.toLowerCase().startsWith('multipart/')) {
    return final('the server sends one range in several parts', RANGE_HINTS)
  }
  return undefined
}

/** `bytes FIRST-LAST/TOTAL`; anything else is not understood. */
function parseContentRange(
  text: string | undefined,
): { first: number; last: number; total: number } | undefined {
  const match = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16})$/.exec(text ?? '')
  if (match === null) return undefined
  const [first = 0, last = 0, total = 0] = match.slice(1).map(Number)
  const sound = Number.isSafeInteger(total) && first <= last && last < total
  return sound ? { first, last, total } : undefined
}

const RANGE_HINTS = [
  'serve the image with ranges and strong ETags: nginx, Apache, Caddy and object stores do',
  'or fetch the image first and give the path of the file',
]

const wrong = (what: string): RangeJudgement => ({
  kind: 'fault',
  fault: final(what, RANGE_HINTS),
})

const changed = (what: string): RangeJudgement => ({
  kind: 'fault',
  fault: final(what, ['the image was replaced while it was read; run the same command again']),
})
