/**
 * What `osflash go` does.
 *
 * 1. The order is given, durable on the store.
 * 2. What it means is said.
 */
import { giveOrder } from '../../flash/orders.ts'
import type { VerbContext } from '../verb.ts'

/** @throws OsflashError `refused` outside of the rescue, or when nothing waits for GO */
export async function go({ json, stdout }: VerbContext): Promise<void> {
  const state = await giveOrder('go')
  const said = json ? JSON.stringify({ order: 'go', state }) : 'GO: the replacement starts'
  stdout.write(`${said}\n`)
}
