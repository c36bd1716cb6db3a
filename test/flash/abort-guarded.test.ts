/** A first OS that was started by hand: its stage is what the next boot needs. */
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { abortRun } from '../../src/flash/abort.ts'
import type { ArmBackup } from '../../src/flash/boot/method.ts'
import { FIRST_OS, STORE } from '../../src/flash/places.ts'
import { planBytes } from '../../src/flash/plan/plan.ts'
import type { State } from '../../src/flash/states.ts'
import { run } from '../../src/system/run.ts'
import { hostFixture, isRoot } from './host-fixture.ts'

const BACKUP = JSON.stringify({ kind: 'grub', custom: null, bytes: 1_024 })
const yes = () => Promise.resolve(true)
const GUARDED = [
  ['stands', yes],
  ['may stand', () => Promise.reject(new Error('no such disk'))],
] as const

/** Armed, as the first OS itself remembers it. */
async function armed(state: State = 'armed') {
  const host = await hostFixture({ system: 'first-os', state })
  await writeFile(join(host.root, FIRST_OS.armBackup), BACKUP)
  await writeFile(join(host.root, FIRST_OS.plan), planBytes(host.plan))
  const disarmed: ArmBackup[] = []
  const makeBoot = async () => ({
    disarm: async (backup: ArmBackup) => void disarmed.push(backup),
  })
  const abort = (startsByStage: () => Promise<boolean>) =>
    abortRun({ root: host.root, makeBoot, startsByStage })
  const expectAsBefore = async () => {
    expect(disarmed).toEqual([])
    expect((await stat(join(host.root, FIRST_OS.run))).isFile()).toBe(true)
    expect((await readFile(host.file)).every((byte) => byte === 0)).toBe(false)
  }
  return { host, abort, expectAsBefore }
}

describe.skipIf(!isRoot)('a stage that the host may start by way of stays (as root)', () => {
  test.each(GUARDED)('without its store, while the guard %s', async (_, starts) => {
    const { host, abort, expectAsBefore } = await armed()
    await run(['dd', 'if=/dev/urandom', `of=${host.device}`, 'bs=4096', 'seek=1', 'count=600'])
    const before = await readFile(host.file)
    await expect(abort(starts)).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringMatching(/every boot ends in the rescue|no such disk/),
    })
    expect((await readFile(host.file)).equals(before)).toBe(true)
    await expectAsBefore()
  })

  test.each(GUARDED)('without its journal, while the guard %s', async (_, starts) => {
    const { host, abort, expectAsBefore } = await armed()
    await host.inStore(async (path) => {
      for (const name of STORE.journal) await rm(join(path, name))
      await writeFile(join(path, STORE.plan), '{')
    })
    await expect(abort(starts)).rejects.toMatchObject({ code: 'refused' })
    await host.inStore((path) => writeFile(join(path, STORE.journal[0]), 'torn'))
    await expect(abort(starts)).rejects.toMatchObject({ code: 'refused' })
    await expectAsBefore()
  })

  test.each(['rehearsal', 'aborted'] as const)(
    'from %s: the journal may be a step off',
    async (state) => {
      const { abort, expectAsBefore } = await armed(state)
      await expect(abort(yes)).rejects.toMatchObject({
        code: 'refused',
        message: 'aborting the replacement: every boot ends in the rescue',
        hints: ['boot from the stage disk; where its rescue holds: osflash abort there'],
      })
      await expectAsBefore()
    },
  )
})
