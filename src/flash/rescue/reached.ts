/**
 * Whether anybody could log in to a rescue that does not know what it is for.
 *
 * 1. A default gateway that answers means that an operator may reach it: it stays.
 * 2. Nothing answering for a while means that it stays for nobody: a reboot ends in the first OS
 *    before the guard, and in another try behind it.
 *
 * Not promised: that the operator's own network is reached.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { run } from '../../system/run.ts'
import { IP_SCHEMAS, readIpJson } from '../carry/ip-json.ts'
import { gatewayAnswers } from '../carry/neighbour.ts'

const AGAIN_MS = 10_000

/** Waits for a default gateway that answers; false when none did in time, or none is known. */
export async function anyGatewayAnswers(withinSeconds: number): Promise<boolean> {
  const end = performance.now() + withinSeconds * 1_000
  for (;;) {
    for (const { gateway, dev } of await defaultRoutes()) {
      const names = dev === undefined ? [] : [dev]
      if (await gatewayAnswers({ gateway, names }).catch(() => false)) return true
    }
    if (performance.now() >= end) return false
    await sleep(AGAIN_MS)
  }
}

interface DefaultRoute {
  readonly gateway: string
  readonly dev: string | undefined
}

async function defaultRoutes(): Promise<DefaultRoute[]> {
  const found: DefaultRoute[] = []
  for (const family of ['-4', '-6'] as const) {
    const argv = ['ip', '-j', family, 'route', 'show', 'default'] as const
    const { stdout } = await run(argv).catch(() => ({ stdout: '[]' }))
    for (const { gateway, dev } of readIpJson(IP_SCHEMAS.routes, stdout)) {
      if (gateway !== undefined) found.push({ gateway, dev })
    }
  }
  return found
}
