/**
 * What `osflash hold` does.
 *
 * 1. The order is given, durable on the store.
 * 2. What it means is said.
 */
import { giveOrder } from '../../flash/orders.ts'
import type { VerbContext } from '../verb.ts'

/** @throws OsflashError `refused` outside of the rescue */
export async function hold({ json, stdout }: VerbContext): Promise<void> {
  const state = await giveOrder('hold')
  const said = json
    ? JSON.stringify({ order: 'hold', state })
    : 'HOLD: after its next start the rescue stays'
  stdout.write(`${said}\n`)
}
