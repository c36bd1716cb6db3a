/**
 * What `osflash go` and `osflash hold` do.
 *
 * 1. The order is given, durable on the store.
 * 2. What it means is said.
 */
import { giveOrder } from '../../flash/orders.ts'
import type { VerbContext } from '../verb.ts'

/** @throws OsflashError `refused` outside of the rescue, or when nothing waits for GO */
export async function go({ json, stdout }: VerbContext): Promise<void> {
  const state = await giveOrder('go')
  stdout.write(json ? said('go', state) : 'GO: the replacement starts\n')
}

/** @throws OsflashError `refused` outside of the rescue */
export async function hold({ json, stdout }: VerbContext): Promise<void> {
  const state = await giveOrder('hold')
  stdout.write(json ? said('hold', state) : 'HOLD: after its next start the rescue stays\n')
}

const said = (order: string, state: string): string => `${JSON.stringify({ order, state })}\n`
