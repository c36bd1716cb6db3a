import { mkdir, open, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ProgressEvent } from '../../src/events.ts'
import { cleanUp } from '../../src/flash/cleanup.ts'
import { STORE, STORE_MOUNT, TARGET } from '../../src/flash/places.ts'
import { planBytes } from '../../src/flash/plan/plan.ts'
import { mountStore } from '../../src/flash/store.ts'
import { SAVED_SUFFIX, TRIAL_WORDS } from '../../src/flash/trial/command-line.ts'
import { MARK, RUN_FOLDER, TRIAL_WATCHDOG, UNIT_LINK } from '../../src/flash/trial/trial-places.ts'
import { run } from '../../src/system/run.ts'
import { MIB } from '../../src/units.ts'
import { breakSector } from './bad-sector.ts'
import {
  damageStore,
  type FixtureOptions,
  type HostFixture,
  hostFixture,
  isRoot,
  scratchFolder,
} from './host-fixture.ts'

const agree = () => Promise.resolve()
const removeEntry = () => Promise.resolve()
const startsByStage = () => Promise.resolve(false)

/** The store begins at byte 0 here; the plan says where the rescue would end. */
const plan = { store: { offset: 8 * MIB, bytes: 12 * MIB } }

async function confirmedHost(options: Partial<FixtureOptions> = {}): Promise<HostFixture> {
  const host = await hostFixture({ system: 'target', state: 'confirmed', plan, ...options })
  for (const path of [TARGET.agent, TARGET.program, TARGET.confirm]) {
    await mkdir(dirname(join(host.root, path)), { recursive: true })
    await writeFile(join(host.root, path), '')
  }
  return host
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

test('is refused on a host that was not replaced', async () => {
  const root = await scratchFolder()
  await expect(cleanUp({ root, agree, removeEntry, startsByStage })).rejects.toMatchObject({
    code: 'refused',
    message: 'cleaning up the stage: this is not a replaced system',
  })
})

describe.skipIf(!isRoot)('cleanup of a stage (as root)', () => {
  test('makes the stage blank, and leaves no file of the trial', async () => {
    const host = await confirmedHost()
    // Far from what the kernel would have cached of the store.
    await writeAt(host.file, 5 * MIB, "the host's key")
    const steps: string[] = []
    const cleaned = await cleanUp({
      root: host.root,
      agree: async (_plan, path) => void steps.push(`agree ${path}`),
      removeEntry: async () => void steps.push('entry'),
      startsByStage,
    })
    expect(cleaned).toEqual({ disk: host.device, isBlank: true })
    expect(steps).toEqual([`agree ${host.device}`, 'entry'])
    const bytes = await readFile(host.file)
    expect(bytes.subarray(0, 12 * MIB).every((byte) => byte === 0)).toBe(true)
    expect(bytes.subarray(-4 * MIB).every((byte) => byte === 0)).toBe(true)
    for (const path of [TARGET.agent, TARGET.program, TARGET.confirm, TARGET.settings]) {
      expect(await exists(join(host.root, path))).toBe(false)
    }
  })

  test('nor what an agent left that could not erase a secret', async () => {
    const { root } = await confirmedHost()
    await linkUnit(root)
    const config = '/boot/grub/grub.cfg'
    for (const path of [MARK, TRIAL_WATCHDOG, config, `${config}${SAVED_SUFFIX}`]) {
      await mkdir(dirname(join(root, path)), { recursive: true })
      await writeFile(join(root, path), path === config ? `linux /vmlinuz ${TRIAL_WORDS}` : '')
    }
    const notes: string[] = []
    const emit = (event: ProgressEvent) => void (event.event === 'note' && notes.push(event.text))
    await cleanUp({ root, agree, removeEntry, startsByStage, emit })
    expect(await readdir(dirname(join(root, UNIT_LINK)))).toEqual([])
    for (const path of [MARK, TRIAL_WATCHDOG]) expect(await exists(join(root, path))).toBe(false)
    // What the agent looks for each time.
    expect(await exists(join(root, RUN_FOLDER, 'confirmed'))).toBe(true)
    expect(notes).toEqual([expect.stringContaining(`${config} is as on trial: update-grub`)])
  })

  test('nor the saved grub.cfg of one that was made anew', async () => {
    const { root } = await confirmedHost()
    const folder = join(root, 'boot/grub')
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'grub.cfg'), 'linux /vmlinuz-new')
    await writeFile(join(folder, `grub.cfg${SAVED_SUFFIX}`), 'linux /vmlinuz')
    await cleanUp({ root, agree, removeEntry, startsByStage })
    expect(await readdir(folder)).toEqual(['grub.cfg'])
  })

  test('a grub.cfg that cannot be read keeps no end', async () => {
    const { root, device } = await confirmedHost()
    await mkdir(join(root, 'boot/grub/grub.cfg'), { recursive: true })
    await writeFile(join(root, `boot/grub/grub.cfg${SAVED_SUFFIX}`), '')
    const notes: string[] = []
    const emit = (event: ProgressEvent) => void (event.event === 'note' && notes.push(event.text))
    const cleaned = await cleanUp({ root, agree, removeEntry, startsByStage, emit })
    expect(cleaned).toEqual({ disk: device, isBlank: true })
    expect(notes).toEqual([expect.stringContaining('grub.cfg')])
  })

  test('nothing is touched when the operator does not agree', async () => {
    const host = await confirmedHost()
    await host.inStore((path) => writeFile(join(path, STORE.sessionKey), 'key'))
    const no = () => Promise.reject(new Error('no'))
    await expect(
      cleanUp({ root: host.root, agree: no, removeEntry, startsByStage }),
    ).rejects.toThrow('no')
    const path = STORE.sessionKey
    expect(await host.inStore((at) => readFile(join(at, path), 'utf8'))).toBe('key')
    expect(await exists(join(host.root, TARGET.program))).toBe(true)
  })

  test('a host that still starts by way of the stage keeps it', async () => {
    const { root, inStore } = await confirmedHost()
    const yes = () => Promise.resolve(true)
    const cleaning = cleanUp({ root, agree, removeEntry, startsByStage: yes })
    await expect(cleaning).rejects.toMatchObject({ code: 'refused' })
    expect(await inStore((at) => exists(join(at, STORE.plan)))).toBe(true)
  })

  test('secrets that cannot be erased go with all of the store', async () => {
    const host = await confirmedHost()
    const secret = "the host's key".repeat(1_000)
    await host.inStore(async (at) => {
      await mkdir(join(at, STORE.carry))
      await writeFile(join(at, STORE.carry, 'key'), secret, { flush: true })
      // Stands for a bad sector.
      await run(['chattr', '+i', join(at, STORE.carry, 'key')])
    })
    const notes: string[] = []
    const emit = (event: ProgressEvent) => void (event.event === 'note' && notes.push(event.text))
    await cleanUp({ root: host.root, agree, removeEntry, startsByStage, emit })
    expect(notes).toEqual([expect.stringMatching(/^erasing .*all of the store is overwritten/)])
    const bytes = await readFile(host.file)
    expect(bytes.subarray(0, 20 * MIB).every((byte) => byte === 0)).toBe(true)
    expect(await exists(join(host.root, TARGET.settings))).toBe(false)
  })

  test('what the disk does not take is told, and is no blank disk', async () => {
    const host = await confirmedHost({ isBreakable: true })
    await breakSector(host, 6 * MIB)
    const notes: string[] = []
    const emit = (event: ProgressEvent) => void (event.event === 'note' && notes.push(event.text))
    const cleaned = await cleanUp({ root: host.root, agree, removeEntry, startsByStage, emit })
    expect(cleaned).toEqual({ disk: host.device, isBlank: false })
    expect(notes).toEqual([expect.stringMatching(/starts nothing, but secrets may be left on it$/)])
    expect(await exists(join(host.root, TARGET.settings))).toBe(false)
  })

  test('an entry that cannot be removed leaves the disk as it is', async () => {
    const host = await confirmedHost()
    const fail = () => Promise.reject(new Error('NVRAM is read-only'))
    await expect(
      cleanUp({ root: host.root, agree, removeEntry: fail, startsByStage }),
    ).rejects.toThrow('NVRAM')
    expect(await host.inStore((at) => exists(join(at, STORE.plan)))).toBe(true)
  })

  test.each(['trial', 'held'] as const)('is refused in state %s', async (state) => {
    const { root } = await confirmedHost({ state })
    await expect(cleanUp({ root, agree, removeEntry, startsByStage })).rejects.toMatchObject({
      code: 'refused',
      message: `cleaning up the stage: the state is ${state}, not confirmed`,
    })
  })

  test.each(['first-os', 'rescue'] as const)('is refused in the %s', async (system) => {
    const { root } = await confirmedHost({ system })
    await expect(cleanUp({ root, agree, removeEntry, startsByStage })).rejects.toMatchObject({
      code: 'refused',
    })
  })

  test('another disk than the one with the store is not touched', async () => {
    const other = await confirmedHost()
    const host = await confirmedHost({ plan: { ...plan, stage: other.plan.stage } })
    await expect(
      cleanUp({ root: host.root, agree, removeEntry, startsByStage }),
    ).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining(`the store is on ${host.device}`),
    })
    expect(await other.inStore((at) => exists(join(at, STORE.plan)))).toBe(true)
  })

  describe('whose journal cannot be read', () => {
    const torn = async (...names: readonly string[]) => {
      const host = await confirmedHost()
      await host.inStore(async (at) => {
        for (const name of [...STORE.journal, ...names]) await writeFile(join(at, name), 'torn')
        await writeFile(join(at, STORE.planCopy), planBytes(host.plan))
      })
      return host
    }
    const clean = (host: HostFixture, starts = startsByStage) =>
      cleanUp({ root: host.root, agree, removeEntry, startsByStage: starts })

    test('the target knows that it is confirmed', async () => {
      const host = await torn()
      expect(await clean(host)).toMatchObject({ disk: host.device })
      expect((await readFile(host.file)).subarray(0, 12 * MIB).every((b) => b === 0)).toBe(true)
    })

    test('also where there is no journal at all', async () => {
      const host = await torn()
      await host.inStore(async (at) => {
        for (const name of STORE.journal) await rm(join(at, name))
      })
      expect(await clean(host)).toMatchObject({ disk: host.device })
    })

    test('and the plan, of which there is a copy', async () => {
      const host = await torn(STORE.plan)
      expect(await clean(host)).toMatchObject({ disk: host.device })
    })

    test('but not a plan of another run', async () => {
      const host = await torn(STORE.plan)
      await host.inStore((at) => writeFile(join(at, STORE.planCopy), '{}'))
      const before = await readFile(host.file)
      await expect(clean(host)).rejects.toMatchObject({ code: 'digest' })
      await expectStore(host, before)
    })

    test('a target on trial keeps its stage', async () => {
      const host = await torn()
      await linkUnit(host.root)
      const before = await readFile(host.file)
      await expect(clean(host)).rejects.toMatchObject({
        code: 'refused',
        message: 'cleaning up the stage: the state is unknown, not confirmed',
        hints: ['osflash status says what can be done'],
      })
      await expectStore(host, before)
    })

    test('so does one that starts by way of it', async () => {
      const host = await torn()
      const before = await readFile(host.file)
      await expect(clean(host, async () => true)).rejects.toMatchObject({
        message: 'cleaning up the stage: the host still starts by way of it',
      })
      await expectStore(host, before)
    })
  })

  test('a store that does not mount says what is left to do, and nothing is touched', async () => {
    const { root, device, file } = await confirmedHost()
    await damageStore(device)
    const before = await readFile(file)
    await expect(cleanUp({ root, agree, removeEntry, startsByStage })).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringMatching(/^cleaning up the stage: mounting /),
      hints: [
        'lsblk -o NAME,SERIAL,PARTLABEL shows which disk has osflash-store: overwrite it by hand',
        'efibootmgr lists the entry osflash rescue, where there is one',
      ],
    })
    expect((await readFile(file)).equals(before)).toBe(true)
    expect(await exists(join(root, TARGET.settings))).toBe(true)
  })

  test('nor is a target on trial told to overwrite what it starts from', async () => {
    const { root, device } = await confirmedHost({ state: 'trial' })
    await linkUnit(root)
    await damageStore(device)
    const error = await cleanUp({ root, agree, removeEntry, startsByStage }).catch((e) => e)
    expect(error.code).toBe('refused')
    expect(error.hints.at(-1)).toMatch(/^osflash-confirm first: /)
    expect(error.hints.join()).not.toContain('overwrite')
  })

  test('a store that an earlier run left mounted is no obstacle', async () => {
    const { root, uuid, device } = await confirmedHost()
    await mountStore({ uuid, at: join(root, STORE_MOUNT) })
    expect(await cleanUp({ root, agree, removeEntry, startsByStage })).toMatchObject({
      disk: device,
    })
  })

  test('a stage that is mounted is refused', async () => {
    const host = await confirmedHost()
    await host.inStore(async () => {
      await expect(
        cleanUp({ root: host.root, agree, removeEntry, startsByStage }),
      ).rejects.toMatchObject({
        code: 'refused',
        message: expect.stringContaining('in use'),
      })
    })
  })
})

/** As in a target on trial. */
async function linkUnit(root: string): Promise<void> {
  await mkdir(dirname(join(root, UNIT_LINK)), { recursive: true })
  await symlink(TARGET.unit, join(root, UNIT_LINK))
}

/** Mounting it changed its superblock and its log; nothing else. */
async function expectStore({ file, inStore }: HostFixture, before: Buffer): Promise<void> {
  expect((await readFile(file)).subarray(12 * MIB).equals(before.subarray(12 * MIB))).toBe(true)
  expect(await inStore((at) => readFile(join(at, STORE.journal[0]), 'utf8'))).toBe('torn')
}

async function writeAt(path: string, offset: number, text: string): Promise<void> {
  await using file = await open(path, 'r+')
  await file.write(text, offset)
}
