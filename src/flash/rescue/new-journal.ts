/**
 * A journal that cannot be read any more, behind the guard: there is no first OS to go back to,
 * and the operator brings another target.
 *
 * 1. Only where the commit was decided: the rescue wrote its intent, and the guard stands.
 * 2. The plan must be beyond doubt, for it says which disk is written: it is that of staging, or
 *    both of its files say the same.
 * 3. A new journal says `held`; what the operator asked for goes on from there.
 *
 * Not promised: how far the run had come; the disk is written from its start.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { OsflashError } from '../../errors.ts'
import { exists } from '../../system/exists.ts'
import type { RescueBoot } from '../boot/method.ts'
import { createJournal, type Journal, openJournal } from '../journal.ts'
import { STORE } from '../places.ts'
import { type FlashPlan, planDigest } from '../plan/plan.ts'
import { readPlan } from '../store.ts'

export interface RescueJournalOptions {
  /** Where the store is mounted. */
  readonly store: string
  /** SHA-256 of the plan that was staged, lower-case hex. */
  readonly stagedDigest: string | undefined
  /** An operator brings another target, so a new journal may take the place of a lost one. */
  readonly isAsked: boolean
  readonly makeBoot: (plan: FlashPlan) => Promise<Pick<RescueBoot, 'hasGuard'>>
}

/** @throws OsflashError as `openJournal`, when no new one may be made; `digest`, `io` */
export async function openOrRenew(options: RescueJournalOptions): Promise<Journal> {
  const { store, isAsked } = options
  let lost: OsflashError
  try {
    const journal = await openJournal(store, { system: 'rescue' })
    if (journal.current !== undefined || !isAsked) return journal
    lost = new OsflashError('format', `reading the journal: there is none in ${store}`)
  } catch (error) {
    const isLost = error instanceof OsflashError && error.code === 'format'
    if (!isLost || !isAsked) throw error
    lost = error
  }
  return renew(options, lost)
}

async function renew(
  { store, stagedDigest, makeBoot }: RescueJournalOptions,
  lost: OsflashError,
): Promise<Journal> {
  const pinned = await agreedDigest(store, stagedDigest)
  const plan = await readPlan(store, pinned)
  const isDecided = await exists(join(store, STORE.intent))
  if (!isDecided || !(await (await makeBoot(plan)).hasGuard())) {
    throw new OsflashError('refused', `${lost.message}; and the first OS was not given up`, {
      cause: lost,
      hints: ['reboot: the first OS starts, there: osflash abort'],
    })
  }
  const attempts = { flash: 0, trial: 0 }
  const first = { system: 'rescue', state: 'held', planDigest: pinned, attempts } as const
  const journal = await createJournal(store, first)
  // A target that confirmed itself is not forgotten with the journal.
  if (journal.current?.state === 'held') {
    await journal.write({ state: 'held', error: `begun anew after: ${lost.message}` })
  }
  return journal
}

/** @throws OsflashError `digest` when no two say the same, `io` */
async function agreedDigest(store: string, staged: string | undefined): Promise<string> {
  const paths = [STORE.plan, STORE.planCopy].map((name) => join(store, name))
  const bytes = await Promise.all(paths.map((path) => readFile(path).catch(() => undefined)))
  const digests = bytes.map((text) => text && planDigest(text))
  const [first, second] = digests
  if (first !== undefined && first === second) return first
  if (staged !== undefined && digests.includes(staged)) return staged
  throw new OsflashError('digest', `reading the plan in ${store}: its two files differ`, {
    hints: ['dmesg shows errors of the disk'],
  })
}
