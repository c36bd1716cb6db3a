/** What tests that read over HTTP share: quick retries, and a range that is not kept. */
import { onTestFinished } from 'vitest'
import { type HttpOptions, openHttpSource } from '../../src/deliver/http.ts'
import type { Source } from '../../src/deliver/source.ts'
import { FILE, type Spoil } from './hostile-server.ts'

export const QUICK = {
  backoffFirstMs: 1,
  backoffMostMs: 2,
  attemptsOpening: 3,
  attemptsReading: 3,
}
/** Behind what the first request brings. */
export const AT = 200_000
export const WANTED = FILE.slice(AT, AT + 100_000)

export const good: Spoil = () => undefined

/** A server that is good until it was opened. */
export const behindFront: (spoil: Spoil) => Spoil = (spoil) => (asked, response) =>
  asked.number === 0 ? undefined : spoil(asked, response)

/** Closed with the test. */
export async function open(url: string, options: HttpOptions = {}): Promise<Source> {
  const source = await openHttpSource(url, { limits: QUICK, ...options })
  onTestFinished(() => source[Symbol.asyncDispose]())
  return source
}

export async function readAt(source: Source, offset: number, bytes: number): Promise<Uint8Array> {
  const into = new Uint8Array(bytes)
  await source.read(offset, into)
  return into
}
