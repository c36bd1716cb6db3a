/** The store of an earlier run: gone on with, or cleared of its secrets and made anew. */
import { randomUUID } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { STORE } from '../../../src/flash/places.ts'
import { takeKnown } from '../../../src/flash/stage/stage.ts'
import type { State } from '../../../src/flash/states.ts'
import { mountStore } from '../../../src/flash/store.ts'
import { run } from '../../../src/system/run.ts'
import { hostFixture, isRoot } from '../host-fixture.ts'

const SOURCES = join(import.meta.dirname, '../../../src/flash/stage')
const SECRET = '0123456789abcdef-session-key'

/** A store in this state, with a session key and a host key on it. */
async function storeIn(state: State) {
  const host = await hostFixture({ system: 'first-os', state })
  await host.inStore(async (path) => {
    await writeFile(join(path, STORE.sessionKey), SECRET, { flush: true })
    await mkdir(join(path, STORE.carry))
    await writeFile(join(path, STORE.carry, 'host-key'), SECRET, { flush: true })
  })
  return { ...host, at: join(host.root, 'store') }
}

const isMounted = async (at: string): Promise<boolean> =>
  (await run(['findmnt', '--mountpoint', at], { statuses: [0, 1] })).status === 0

/** Everything on the disk, also what is in no file any more. */
const onDisk = async (file: string): Promise<string> => (await readFile(file)).toString('latin1')

describe.skipIf(!isRoot)('a store of the same plan on a loop device (as root)', () => {
  test.each(['preflight', 'staging', 'staged'] as const)(
    'is gone on with when the run was cut in %s',
    async (state) => {
      const { uuid, at } = await storeIn(state)
      {
        await using store = await takeKnown(uuid, at)
        expect(store?.path).toBe(at)
        expect(await readFile(join(at, STORE.sessionKey), 'utf8')).toBe(SECRET)
        // It is filled next.
        await writeFile(join(at, 'written'), '')
      }
      expect(await isMounted(at)).toBe(false)
    },
  )

  test.each(['armed', 'aborted', 'held', 'trial', 'confirmed'] as const)(
    'of a run that was %s is cleared of its secrets, and not taken',
    async (state) => {
      const { uuid, at, file } = await storeIn(state)
      expect(await onDisk(file)).toContain(SECRET)
      expect(await takeKnown(uuid, at)).toBeUndefined()
      expect(await isMounted(at)).toBe(false)
      expect(await onDisk(file)).not.toContain(SECRET)
    },
  )

  test('that an earlier run left mounted is not mounted for ever', async () => {
    const { uuid, at } = await storeIn('aborted')
    await mountStore({ uuid, at })
    expect(await takeKnown(uuid, at)).toBeUndefined()
    expect(await isMounted(at)).toBe(false)
  })

  test('whose journal is damaged is cleared as well', async () => {
    const { uuid, at, file, inStore } = await storeIn('staging')
    await inStore(async (path) => {
      for (const name of STORE.journal) await writeFile(join(path, name), 'x'.repeat(4_096))
    })
    expect(await takeKnown(uuid, at)).toBeUndefined()
    expect(await isMounted(at)).toBe(false)
    expect(await onDisk(file)).not.toContain(SECRET)
  })

  test('without a journal was only just made', async () => {
    const { uuid, at, inStore } = await storeIn('preflight')
    await inStore(async (path) => {
      for (const name of STORE.journal) await run(['rm', '-f', join(path, name)])
    })
    await using store = await takeKnown(uuid, at)
    expect(store?.path).toBe(at)
  })
})

test('a store that is nowhere is not taken', async () => {
  expect(await takeKnown(randomUUID(), '/nonexistent/store')).toBeUndefined()
})

const PROGRAM = `
import { flashPlan } from ${JSON.stringify(join(import.meta.dirname, '../flash-plan.ts'))}
import { fillStage } from ${JSON.stringify(join(SOURCES, 'stage.ts'))}
const { code, message } = await fillStage({ plan: flashPlan() }).catch((error) => error)
console.log(JSON.stringify({ code, message }))`

test.skipIf(!isRoot)(
  'needs root: a first OS that is read-only is no fault of osflash',
  async () => {
    // In a mount namespace of its own, so that nobody else sees it.
    const script = 'mount -t tmpfs -o ro none /var/lib && exec "$0" --input-type=module -e "$1"'
    const { stdout } = await run(['unshare', '-m', 'sh', '-c', script, process.execPath, PROGRAM])
    expect(JSON.parse(stdout)).toEqual({
      code: 'io',
      // node's recursive mkdir says ENOENT where the system said EROFS.
      message: expect.stringMatching(/^making \/var\/lib\/osflash: (read-only|no such)/),
    })
  },
)
