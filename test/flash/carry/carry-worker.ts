/**
 * Captures, or asks the gate, inside the network namespace that it is started in:
 * `capture ROOT`, `capture-network ROOT`, `reachable CARRY.json SECONDS`, `any-gateway`. Prints
 * JSON.
 */
import { readFileSync } from 'node:fs'
import * as z from 'zod/mini'
import { OsflashError } from '../../../src/errors.ts'
import { captureCarry } from '../../../src/flash/carry/capture.ts'
import { captureNetwork } from '../../../src/flash/carry/capture-network.ts'
import { reachable } from '../../../src/flash/carry/check.ts'
import { carrySchema } from '../../../src/flash/carry/model.ts'
import { anyGatewayAnswers } from '../../../src/flash/rescue/reached.ts'

const [what, place = '', seconds = '0'] = process.argv.slice(2)

async function answer(): Promise<unknown> {
  if (what === 'capture') {
    const { carry, notes } = await captureCarry({ root: place })
    return { carry, notes }
  }
  if (what === 'capture-network') return captureNetwork({ root: place })
  if (what === 'any-gateway') return anyGatewayAnswers(0)
  const carry = z.parse(carrySchema, JSON.parse(readFileSync(place, 'utf8')))
  await reachable({ carry, withinSeconds: Number(seconds) })
  return 'reachable'
}

const said = await answer().catch((cause: unknown) => {
  if (!(cause instanceof OsflashError)) throw cause
  return { code: cause.code, message: cause.message }
})
process.stdout.write(JSON.stringify(said))
