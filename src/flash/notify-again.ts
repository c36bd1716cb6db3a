/**
 * Tells the newest state once more, in whichever of the three systems runs.
 *
 * 1. The system's own facts lead to the store, the store holds journal and plan; read only.
 * 2. Nothing follows `confirmed`: the address, which may be a token, is erased then.
 * 3. The target's agent is a shell program that posts nothing: its unit asks for this when the
 *    target was confirmed.
 */
import { join } from 'node:path'
import type { Emit } from '../events.ts'
import { eraseNotify } from './erase.ts'
import { openJournal } from './journal.ts'
import { makeNotifier } from './notify.ts'
import { STORE_MOUNT } from './places.ts'
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
  if (found.system === 'target' && record.state === 'confirmed' && plan.notify !== undefined) {
    await forget(found, join(root, STORE_MOUNT)).catch((error: unknown) => {
      emit({ event: 'note', text: `forgetting the address of --notify: ${String(error)}` })
    })
  }
  return record.state
}

async function forget({ storeUuid }: FoundStore, at: string): Promise<void> {
  await using store = await mountStore({ uuid: storeUuid, at })
  await eraseNotify(store.path)
}

/** The store is given back before anybody is told: that may take seconds. */
async function readRun({ storeUuid, system }: FoundStore) {
  await using store = await mountStore({ uuid: storeUuid, readOnly: true })
  const { current } = await openJournal(store.path, { system })
  return { record: current, plan: await readPlan(store.path) }
}
