/**
 * Tells an address of the operator's about each state: `--notify URL`.
 *
 * 1. One POST of JSON a state, in their order: state, system, host name, plan digest, since
 *    when, error. Nothing of the plan or the carry, so no secret.
 * 2. A short timeout and one retry. What fails is noted for the log, and forgotten.
 * 3. The run goes on meanwhile. Only before a state that is followed by a reboot, or by the end of
 *    the program, it waits: a few seconds at most.
 *
 * Not promised: that a message arrives. The address is shown by its host alone: a path may be a
 * token; it is not in the plan, and nobody is told once it was erased. Redirects are not followed.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Emit } from '../events.ts'
import { type FlashPlan, shownNotify } from './plan/plan.ts'
import type { JournalRecord, State } from './states.ts'

/** Times in milliseconds. */
interface NotifyLimits {
  readonly timeoutMs: number
  readonly retryAfterMs: number
  /** Before a reboot, for everything that is still to be told. */
  readonly waitMs: number
}

const DEFAULT_LIMITS: NotifyLimits = { timeoutMs: 2_000, retryAfterMs: 500, waitMs: 5_000 }

/** Behind these the system goes down, or the program ends. */
const WAITED: readonly State[] = ['armed', 'trial', 'confirmed', 'held', 'aborted']

/** Never throws; settles at once, or after `waitMs` at the latest. */
export type Notify = (record: JournalRecord) => Promise<void>

export function makeNotifier(
  plan: Pick<FlashPlan, 'notify' | 'host'>,
  emit: Emit,
  limits: NotifyLimits = DEFAULT_LIMITS,
): Notify {
  const { notify: address, host } = plan
  if (address === undefined || address === shownNotify(address)) return async () => undefined
  let told = Promise.resolve()
  return async (record) => {
    const body = notification(host.hostname, record)
    told = told.then(() => tell({ address, body, emit, limits }))
    if (!WAITED.includes(record.state)) return
    // Else the timer would hold the program up after everything was told.
    const stop = new AbortController()
    const late = delay(limits.waitMs, undefined, { signal: stop.signal }).catch(() => undefined)
    await Promise.race([told, late])
    stop.abort()
  }
}

/** What is posted, as JSON. */
function notification(hostname: string, record: JournalRecord): string {
  const { state, system, since, planDigest, sequence, error } = record
  return JSON.stringify({
    format: 'osflash-state/1',
    host: hostname,
    state,
    system,
    since,
    planDigest,
    sequence,
    ...(error === undefined ? {} : { error }),
  })
}

interface Message {
  readonly address: string
  readonly body: string
  readonly emit: Emit
  readonly limits: NotifyLimits
}

async function tell(message: Message): Promise<void> {
  const { address, emit, limits } = message
  const first = await post(message)
  if (first === undefined) return
  await delay(limits.retryAfterMs)
  const why = await post(message)
  if (why === undefined) return
  const host = URL.canParse(address) ? new URL(address).host : 'an address that is none'
  emit({ event: 'note', text: `notifying ${host}: ${why}` })
}

/** Why it was not told; `undefined` when it was. */
async function post({ address, body, limits }: Message): Promise<string | undefined> {
  try {
    const response = await fetch(address, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': 'osflash' },
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(limits.timeoutMs),
    })
    // Its content is nobody's interest, and may have no end.
    await response.body?.cancel()
    return response.ok ? undefined : `it answers ${response.status}`
  } catch (cause) {
    return whyNot(cause, limits)
  }
}

function whyNot(cause: unknown, { timeoutMs }: NotifyLimits): string {
  if (!(cause instanceof Error)) return String(cause)
  if (cause.name === 'TimeoutError') return `no answer within ${timeoutMs / 1_000} s`
  // fetch says `fetch failed`, and why in the cause; its message may hold the address.
  const { cause: inner } = cause
  if (inner instanceof Error && 'code' in inner) return String(inner.code)
  return 'no connection'
}
