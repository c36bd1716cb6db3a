import { basename } from 'node:path'
import { expect, test } from 'vitest'
import { MIB } from '../../src/units.ts'
import { findBytes } from './disk-file.ts'
import type { FileServer } from './http-server.ts'
import type { Options } from './operator.ts'
import { expectCleanedUp, expectOwnBootChain, expectReplaced } from './replaced.ts'
import { beginWith, bootFirstOs, LIMIT, takeOver, timeTable } from './takeover.ts'

const TOKEN = 'e2e-token-of-notify'
/** In the middle of the target, and of an answer. */
const BREAK_AT = 40 * MIB + 12_345

test('Debian 12 becomes Debian 13 under SeaBIOS, at the same address', async () => {
  await using began = await beginWith({ name: 'bios-two-disks', firmware: 'bios' })
  await bootFirstOs(began)
  const { host, server } = began
  const images: Options = {
    ...began.images,
    notify: `${server.addressOf('states')}?token=${TOKEN}`,
  }
  server.breakOnce(basename(String(images.target)), BREAK_AT)
  const takeover = await takeOver({ ...began, images })
  console.log(`bios-two-disks\n${timeTable(takeover.times)}`)
  await expectOwnBootChain(host)
  expect(takeover.before.release).toBe('debian 12')
  expect(server.isUnbroken).toBe(false)
  await expectTold(server)
  await expectReplaced({ host, takeover, images })
  await host.machine.standingStill(async () => {
    expect(await findBytes(host.stagePath, { token: Buffer.from(TOKEN) })).toEqual({ token: [] })
  })
  await expectCleanedUp(host)
})

/** A message may be lost on the way; those that came are in order, and the last one is there. */
async function expectTold(server: FileServer): Promise<void> {
  const timeout = LIMIT.confirm * 1000
  await expect.poll(() => server.posted.at(-1), { timeout }).toContain('"state":"confirmed"')
  const told = server.posted.map((body) => JSON.parse(body))
  const sequences = told.map(({ sequence }) => Number(sequence))
  expect(sequences).toEqual(sequences.toSorted((a, b) => a - b))
  expect(new Set(told.map(({ planDigest }) => planDigest)).size).toBe(1)
  const systems = new Set(told.map(({ system }) => system))
  expect([...systems]).toEqual(['first-os', 'rescue', 'target'])
}
