/** Whether a replacement is under way: asked of the store that an earlier run left. */
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { FIRST_OS, STORE, TARGET } from '../../../src/flash/places.ts'
import { checkNoRun } from '../../../src/flash/plan/run-state.ts'
import { UNIT_LINK } from '../../../src/flash/trial/trial-places.ts'
import { run } from '../../../src/system/run.ts'
import { hostFixture, isRoot, scratchFolder } from '../host-fixture.ts'

test('nothing is under way on a host that was never touched', async () => {
  await expect(checkNoRun(await scratchFolder())).resolves.toBeUndefined()
})

test('what an earlier run remembers must be readable', async () => {
  const root = await scratchFolder()
  await mkdir(dirname(join(root, FIRST_OS.run)), { recursive: true })
  await writeFile(join(root, FIRST_OS.run), '{"storeUuid":')
  await expect(checkNoRun(root)).rejects.toMatchObject({ code: 'format' })
})

describe.skipIf(!isRoot)('with a store on a loop device (as root)', () => {
  test.each(['preflight', 'staging', 'staged', 'aborted'] as const)(
    "a run that is %s is in nobody's way",
    async (state) => {
      const { root } = await hostFixture({ system: 'first-os', state })
      await expect(checkNoRun(root)).resolves.toBeUndefined()
    },
  )

  test.each(['armed', 'rehearsal', 'committed', 'flashing', 'trial', 'held'] as const)(
    'a run that is %s is not begun again',
    async (state) => {
      const { root } = await hostFixture({ system: 'first-os', state })
      await expect(checkNoRun(root)).rejects.toMatchObject({
        code: 'refused',
        message: `checking this host: a replacement is under way, it is ${state}`,
      })
    },
  )

  test('a stage that is not there any more is no run', async () => {
    const { root } = await hostFixture({ system: 'first-os' })
    await expect(checkNoRun(root)).resolves.toBeUndefined()
  })

  test('a journal that cannot be read is no answer', async () => {
    const { root, inStore } = await hostFixture({ system: 'first-os', state: 'armed' })
    await inStore(async (path) => {
      for (const name of STORE.journal) await writeFile(join(path, name), 'x'.repeat(4_096))
    })
    await expect(checkNoRun(root)).rejects.toMatchObject({ code: 'format' })
  })

  test.each([
    { trial: 'confirmed', refusal: undefined },
    { trial: 'not confirmed', refusal: { code: 'format' } },
  ])('a damaged store of a target that is $trial', async ({ refusal }) => {
    const { root, inStore } = await hostFixture({ system: 'target', state: 'trial' })
    await inStore(async (path) => {
      for (const name of STORE.journal) await writeFile(join(path, name), 'x'.repeat(4_096))
    })
    if (refusal === undefined) return expect(checkNoRun(root)).resolves.toBeUndefined()
    await mkdir(dirname(join(root, UNIT_LINK)), { recursive: true })
    await symlink(TARGET.unit, join(root, UNIT_LINK))
    await expect(checkNoRun(root)).rejects.toMatchObject(refusal)
  })

  test('a store that cannot be mounted is in the way of no confirmed target', async () => {
    const { root, device } = await hostFixture({ system: 'target', state: 'confirmed' })
    // The superblock stays; the group descriptors behind it do not.
    await run(['dd', 'if=/dev/zero', `of=${device}`, 'bs=1k', 'seek=2', 'count=64', 'conv=fsync'])
    await expect(checkNoRun(root)).resolves.toBeUndefined()
  })

  test('the rescue replaces nothing, whatever the state', async () => {
    const { root } = await hostFixture({ system: 'rescue', state: 'held' })
    await expect(checkNoRun(root)).rejects.toMatchObject({
      code: 'refused',
      hints: ['osflash status'],
    })
  })
})
