/**
 * Tells the newest state once more, in whichever of the three systems runs.
 *
 * 1. The system's own facts lead to the store, the store holds journal and plan; read only.
 * 2. The target's agent is a shell program that posts nothing: its unit asks for this when the
 *    target was confirmed.
 */
import type { Emit } from '../events.ts'
import { openJournal } from './journal.ts'
import { makeNotifier } from './notify.ts'
import type { State } from './states.ts'
import { mountStore, readPlan } from './store.ts'
import { type FoundStore, findStore } from './systems.ts'

/**
 * @param root of the system; other than `/` only in tests
 * @returns the state that was told; `undefined` when there is no replacement
 * @throws OsflashError when the store or the system's own facts cannot be read
 */
export async function notifyAgain(emit: Emit, root = '/'): Promise<State | undefined> {
  const found = await findStore(root)
  if (found === undefined) return undefined
  const { record, plan } = await readRun(found)
  if (record === undefined) return undefined
  await makeNotifier(plan, emit)(record)
  return record.state
}

/** The store is given back before anybody is told: that may take seconds. */
async function readRun({ storeUuid, system }: FoundStore) {
  await using store = await mountStore({ uuid: storeUuid, readOnly: true })
  const { current } = await openJournal(store.path, { system })
  return { record: current, plan: await readPlan(store.path) }
}
