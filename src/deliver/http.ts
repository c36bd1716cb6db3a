/**
 * An image behind an http or https address, read in ranges.
 *
 * 1. Open: the first range gives the size and the strong ETag; it is kept, for the members that
 *    begin an image are in it.
 * 2. Reads go out several at a time, each as one request; more wait for their turn.
 * 3. Redirects are followed once and remembered; after a failure the way is asked anew.
 * 4. A transient fault is tried again from the byte that is missing, with growing pauses and
 *    jitter; a bounded number of times without progress.
 *
 * Not promised: that the bytes are right. Nothing is believed before its digest held.
 */
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { setTimeout as delay } from 'node:timers/promises'
import { cancelled, OsflashError, throwIfCancelled } from '../errors.ts'
import { LIMITS } from '../format/limits.ts'
import { SlotQueue } from '../system/shared-buffers.ts'
import { KIB, MIB } from '../units.ts'
import { parseHttpAddress, redirectedTo, shownAddress } from './http-address.ts'
import { type Fault, final, networkError, transient } from './http-fault.ts'
import { getRange, type HttpClient, type RangeRequest, type RangeResult } from './http-request.ts'
import type { ImageVersion } from './http-response.ts'
import { RateWatch } from './rate-watch.ts'
import type { Source } from './source.ts'

const FRONT_BYTES = 64 * KIB
/** Enough to fill a line with a round trip of 100 ms at several hundred MB/s. */
const REQUESTS_IN_FLIGHT = 8
/** An attempt that brought this much was no failure in a row. */
const PROGRESS_BYTES = MIB

/** What may differ from limits.ts; times in milliseconds. */
export interface HttpLimits {
  readonly idleMs: number
  readonly rateBytesPerSecond: number
  readonly rateWindowMs: number
  readonly backoffFirstMs: number
  readonly backoffMostMs: number
  readonly attemptsOpening: number
  readonly attemptsReading: number
}

const DEFAULT_LIMITS: HttpLimits = {
  idleMs: LIMITS.httpIdleMs,
  rateBytesPerSecond: LIMITS.httpRateBytesPerSecond,
  rateWindowMs: LIMITS.httpRateWindowMs,
  backoffFirstMs: LIMITS.httpBackoffFirstMs,
  backoffMostMs: LIMITS.httpBackoffMostMs,
  attemptsOpening: LIMITS.httpAttemptsOpening,
  attemptsReading: LIMITS.httpAttemptsReading,
}

export interface HttpOptions {
  readonly signal?: AbortSignal
  readonly limits?: Partial<HttpLimits>
  /** Certificates (PEM) to believe instead of node's. */
  readonly ca?: string
}

/** @throws OsflashError `usage` (no such address), `network`, `cancelled` */
export async function openHttpSource(text: string, options: HttpOptions = {}): Promise<Source> {
  const url = parseHttpAddress(text)
  throwIfCancelled(options.signal)
  const server = makeServer(url, options)
  try {
    const front = new Uint8Array(FRONT_BYTES)
    const { version, received } = await readWithRetries(server, { offset: 0, into: front })
    return {
      name: server.name,
      bytes: version.total,
      read: (offset, into) =>
        readRange({ ...server, version, front: front.subarray(0, received) }, offset, into),
      [Symbol.asyncDispose]: async () => server.close(),
    }
  } catch (error) {
    server.close()
    throw error
  }
}

interface Server {
  readonly url: URL
  readonly name: string
  readonly client: HttpClient
  readonly limits: HttpLimits
  /** Fires with the caller's signal, and when the source is closed. */
  readonly stopped: AbortSignal
  /** Where the redirects led; `undefined` is the address itself. */
  readonly remembered: { url: URL | undefined }
  readonly turns: SlotQueue
  close(): void
}

function makeServer(url: URL, options: HttpOptions): Server {
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const stop = new AbortController()
  const watch = new RateWatch(limits)
  // Node gives each address of a host 250 ms by default: less than a round trip by satellite.
  const agent = { keepAlive: true, autoSelectFamilyAttemptTimeout: 5_000 }
  const client: HttpClient = {
    http: new HttpAgent(agent),
    https: new HttpsAgent({ ...agent, ...(options.ca && { ca: options.ca }) }),
    idleMs: limits.idleMs,
    headerBytes: LIMITS.httpHeaderBytes,
    watch,
  }
  const end = (): void => {
    stop.abort()
    watch.endAll(transient('stopped'))
    client.http.destroy()
    client.https.destroy()
  }
  options.signal?.addEventListener('abort', end, { once: true })
  return {
    url,
    name: shownAddress(url),
    client,
    limits,
    stopped: stop.signal,
    remembered: { url: undefined },
    turns: new SlotQueue(REQUESTS_IN_FLIGHT),
    close: () => {
      options.signal?.removeEventListener('abort', end)
      end()
    },
  }
}

interface OpenServer extends Server {
  readonly version: ImageVersion
  readonly front: Uint8Array
}

async function readRange(server: OpenServer, offset: number, into: Uint8Array): Promise<void> {
  const { version, front } = server
  const end = offset + into.length
  if (end > version.total) {
    throw new OsflashError('io', `reading ${server.name} at byte ${version.total}: it ends here`)
  }
  if (end <= front.length) into.set(front.subarray(offset, end))
  else if (into.length > 0) {
    const turn = await server.turns.acquire()
    try {
      await readWithRetries(server, { offset, into, known: version })
    } finally {
      server.turns.release(turn)
    }
  }
}

type Ask = Omit<RangeRequest, 'url'>
type Done = Extract<RangeResult, { kind: 'done' }>

async function readWithRetries(server: Server, ask: Ask): Promise<Done> {
  const { limits } = server
  const most = ask.known === undefined ? limits.attemptsOpening : limits.attemptsReading
  let missing = ask
  let failures = 0
  for (;;) {
    // Behind its turn or a pause: a request that begins now would be ended by nobody.
    if (server.stopped.aborted) throw cancelled()
    const result = await askOnce(server, missing)
    if (server.stopped.aborted) throw cancelled()
    if (result.kind === 'done') return result
    const { fault, received, url } = result
    failures = received >= PROGRESS_BYTES ? 1 : failures + 1
    // What the first request brought is of no known version: all of it is asked for again.
    if (ask.known !== undefined) missing = behind(missing, received)
    if (!fault.transient || failures >= most) {
      const { offset } = missing
      throw networkError(fault, { name: server.name, host: url.host, offset, attempts: failures })
    }
    await pause(server, pauseMs({ failures, fault, limits, random: Math.random() }))
  }
}

const behind = (ask: Ask, received: number): Ask => ({
  ...ask,
  offset: ask.offset + received,
  into: ask.into.subarray(received),
})

/** `url` is the one that failed. */
type Failed = Extract<RangeResult, { kind: 'failed' }> & { readonly url: URL }

/** Follows redirects from where the last answer came from. */
async function askOnce(server: Server, ask: Ask): Promise<Done | Failed> {
  const { remembered } = server
  const startedAt = remembered.url ?? server.url
  let url = startedAt
  for (let hops = 0; hops <= LIMITS.httpRedirects; hops += 1) {
    if (server.stopped.aborted) throw cancelled()
    const result = await getRange(server.client, { ...ask, url })
    if (result.kind === 'done') {
      remembered.url = url
      return result
    }
    if (result.kind === 'failed') {
      remembered.url = undefined
      const fault = startedAt === server.url ? result.fault : perhapsMoved(result.fault)
      return { ...result, fault, url }
    }
    const next = redirectedTo(url, result.location)
    if (!(next instanceof URL)) return { kind: 'failed', fault: next, received: 0, url }
    url = next
  }
  const fault = final(`more than ${LIMITS.httpRedirects} redirects`, ['give the final address'])
  return { kind: 'failed', fault, received: 0, url }
}

/** An address that a redirect gave may expire: then the first address gives another. */
function perhapsMoved(fault: Fault): Fault {
  const expired = [401, 403, 404, 410].includes(fault.status ?? 0)
  return expired ? { ...fault, transient: true } : fault
}

interface Pause {
  /** In a row, from 1. */
  readonly failures: number
  readonly fault: Pick<Fault, 'afterMs'>
  readonly limits: Pick<HttpLimits, 'backoffFirstMs' | 'backoffMostMs'>
  /** From 0 to 1: many hosts that lost one server must not come back at one moment. */
  readonly random: number
}

/** How long to wait before the next attempt, in milliseconds. */
export function pauseMs({ failures, fault, limits, random }: Pause): number {
  const { backoffFirstMs, backoffMostMs } = limits
  if (fault.afterMs === 0 && failures === 1) return 0
  const doubled = Math.min(backoffMostMs, backoffFirstMs * 2 ** (failures - 1))
  const wished = Math.min(backoffMostMs, fault.afterMs ?? 0)
  return Math.max(wished, doubled * (0.5 + random / 2))
}

async function pause(server: Server, ms: number): Promise<void> {
  await delay(ms, undefined, { signal: server.stopped }).catch(() => {
    throw cancelled()
  })
}
