import { execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { mkdir, open, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { ProgressEvent } from '../../src/events.ts'
import { writeFileSafely } from '../../src/flash/durable-file.ts'
import { createJournal } from '../../src/flash/journal.ts'
import { STORE, STORE_LABEL } from '../../src/flash/places.ts'
import { planDigest } from '../../src/flash/plan/plan.ts'
import { isStoreLost, makeStore, mountStore, readPlan } from '../../src/flash/store.ts'
import { run } from '../../src/system/run.ts'
import { MIB } from '../../src/units.ts'
import { flashPlan } from './flash-plan.ts'
import { damageStore, isRoot, loopDevice, scratchFolder } from './host-fixture.ts'

interface Made {
  readonly folder: string
  readonly file: string
  readonly device: string
  readonly uuid: string
  readonly at: string
}

async function madeStore(): Promise<Made> {
  const folder = await scratchFolder()
  const file = join(folder, 'disk')
  await writeFile(file, '')
  await truncate(file, 16 * MIB)
  const device = await loopDevice(file)
  const uuid = randomUUID()
  await makeStore({ device, uuid, label: STORE_LABEL })
  return { folder, file, device, uuid, at: join(folder, 'at') }
}

async function mountsAt(place: string): Promise<string[]> {
  const { stdout } = await run(['findmnt', '-n', '-o', 'OPTIONS', place], { statuses: [0, 1] })
  return stdout.split('\n').filter((line) => line !== '')
}

describe.skipIf(!isRoot)('a store on a loop device (as root)', () => {
  test('has its checksums, no reserve, nothing left to be initialised', async () => {
    const { device, uuid } = await madeStore()
    const { stdout } = await run(['dumpe2fs', '-h', device])
    expect(stdout).toContain('metadata_csum')
    expect(stdout).not.toContain('orphan_file')
    expect(stdout).toContain(`Filesystem UUID:          ${uuid}`)
    expect(stdout).toContain(`Filesystem volume name:   ${STORE_LABEL}`)
    expect(stdout).toMatch(/Reserved block count: +0\n/)
    const groups = (await run(['dumpe2fs', device])).stdout
    expect(groups).toContain('ITABLE_ZEROED')
    expect((await run(['e2fsck', '-fn', device])).status).toBe(0)
  })

  test('is mounted for the block, and what was written is there the next time', async () => {
    const { uuid, at, device } = await madeStore()
    {
      await using store = await mountStore({ uuid, at })
      expect(store).toMatchObject({ path: at, device })
      await writeFileSafely(join(store.path, STORE.go), 'yes', 0o600)
      expect((await mountsAt(at))[0]).toMatch(/rw,.*nosuid,nodev,noexec|rw,nosuid,nodev,noexec/)
    }
    expect(await mountsAt(at)).toEqual([])
    await using store = await mountStore({ uuid, at, readOnly: true })
    expect(await readFile(join(store.path, STORE.go), 'utf8')).toBe('yes')
    await expect(writeFile(join(store.path, STORE.hold), '')).rejects.toThrow('EROFS')
  })

  test('a mount that is there is used, and stays', async () => {
    const { uuid, at } = await madeStore()
    await using outer = await mountStore({ uuid, at })
    {
      await using inner = await mountStore({ uuid, at })
      expect(inner.path).toBe(outer.path)
    }
    expect(await mountsAt(at)).toHaveLength(1)
  })

  test('one that an operator mounted by hand is used as well', async () => {
    const { device, uuid, at } = await madeStore()
    await mkdir(at)
    await run(['mount', device, at])
    onTestFinished(async () => {
      await run(['umount', at])
    })
    {
      await using store = await mountStore({ uuid, at })
      await writeFile(join(store.path, STORE.go), 'yes')
    }
    expect(await mountsAt(at)).toHaveLength(1)
  })

  test('who writes and who only reads do not need each other', async () => {
    const { uuid, at } = await madeStore()
    const writer = await mountStore({ uuid, at })
    await writeFile(join(writer.path, STORE.go), 'yes')
    await using one = await mountStore({ uuid, readOnly: true })
    const other = await mountStore({ uuid, readOnly: true })
    await writer[Symbol.asyncDispose]()
    await other[Symbol.asyncDispose]()
    expect(await readFile(join(one.path, STORE.go), 'utf8')).toBe('yes')
  })

  test('who only reads is no obstacle for long', async () => {
    const { uuid, at } = await madeStore()
    const reader = await mountStore({ uuid, readOnly: true })
    expect(reader.path).toMatch(/^\/run\/osflash\/store-/)
    const writer = mountStore({ uuid, at })
    // Long enough for the writer to find the other mount in its way.
    await sleep(700)
    await reader[Symbol.asyncDispose]()
    await using store = await writer
    await writeFile(join(store.path, STORE.go), '')
    expect(await mountsAt(reader.path)).toEqual([])
  })

  test('one that is in use is not lost, one that does not mount is', async () => {
    const { uuid, at, device } = await madeStore()
    const errorOf = () => mountStore({ uuid, at, busyMsMax: 0 }).catch((error: unknown) => error)
    {
      await using _reader = await mountStore({ uuid, readOnly: true })
      const error = await errorOf()
      expect(error).toMatchObject({ code: 'process', message: expect.stringMatching(/^mounting/) })
      expect(isStoreLost(error)).toBe(false)
    }
    await damageStore(device)
    expect(isStoreLost(await errorOf())).toBe(true)
  })

  test('somebody who has a file open keeps nobody waiting, and a cut loses no word', async () => {
    const { uuid, at, file, folder } = await madeStore()
    const said: string[] = []
    const cut = join(folder, 'cut')
    // The power goes when it was said; and once more, when a log on the store has it.
    const emit = (event: ProgressEvent) => {
      if (event.event !== 'note') return
      said.push(event.text)
      execFileSync('cp', ['--sparse=always', file, `${cut}-when-said`])
      writeFileSync(join(at, 'said'), event.text)
    }
    const store = await mountStore({ uuid, at, emit })
    await writeFile(join(at, 'log'), 'the last word')
    const watcher = await open(join(at, 'log'), 'r')
    await store[Symbol.asyncDispose]()
    expect(said).toEqual([expect.stringMatching(/^unmounting .* busy.*it is flushed, and stays$/)])
    await run(['cp', '--sparse=always', file, cut])
    {
      // Nobody who mounts it again, or elsewhere, is kept from writing.
      await using again = await mountStore({ uuid, at })
      await writeFile(join(again.path, STORE.go), '')
    }
    await watcher.close()
    await run(['umount', at])
    for (const [image, name, text] of [
      [`${cut}-when-said`, 'log', 'the last word'],
      [cut, 'said', said[0]],
    ] as const) {
      await run(['mount', '-o', 'loop', image, at])
      const found = await readFile(join(at, name), 'utf8').catch(() => '')
      await run(['umount', at])
      expect(found).toBe(text)
    }
  })

  test('one that an operator has unmounted is no error', async () => {
    const { uuid, at } = await madeStore()
    const store = await mountStore({ uuid, at })
    await run(['umount', at])
    await store[Symbol.asyncDispose]()
    expect(await mountsAt(at)).toEqual([])
  })

  test('a mount for reading is made one for writing', async () => {
    const { uuid, at } = await madeStore()
    await using _reader = await mountStore({ uuid, at, readOnly: true })
    await using writer = await mountStore({ uuid, at })
    await writeFile(join(writer.path, STORE.go), '')
  })

  test('something else at the place is not hidden', async () => {
    const one = await madeStore()
    const other = await madeStore()
    await using _store = await mountStore({ uuid: one.uuid, at: one.at })
    await expect(mountStore({ uuid: other.uuid, at: one.at })).rejects.toMatchObject({
      code: 'refused',
      message: `mounting the store at ${one.at}: something is mounted there`,
    })
  })

  test('of two disks with the same store neither is taken', async () => {
    const { uuid, at, file, folder } = await madeStore()
    const copy = join(folder, 'copy')
    await run(['cp', '--sparse=always', file, copy])
    const clone = await loopDevice(copy)
    await expect(mountStore({ uuid, at })).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining(`${clone}`),
    })
    expect(await mountsAt(at)).toEqual([])
  })

  test('nor is the mounted one taken for the only one', async () => {
    const { uuid, at, file, folder } = await madeStore()
    await using _store = await mountStore({ uuid, at })
    const copy = join(folder, 'copy')
    await run(['cp', '--sparse=always', file, copy])
    await loopDevice(copy)
    await expect(mountStore({ uuid, at })).rejects.toMatchObject({ code: 'refused' })
  })

  test('is looked at while another mount namespace writes to it', async () => {
    const { uuid, at, device } = await madeStore()
    await mkdir(at)
    const mounting = `mount ${device} ${at} && touch ${at}/go && echo ready && read -r _`
    const child = spawn('unshare', ['-m', 'sh', '-c', mounting])
    const ended = once(child, 'exit')
    onTestFinished(async () => {
      child.stdin.end()
      await ended
    })
    await once(child.stdout, 'data')
    await using store = await mountStore({ uuid, readOnly: true })
    expect(await readdir(store.path)).toContain(STORE.go)
  })

  test('what the host has mounted is taken away from a namespace of its own', async () => {
    const { at, device } = await madeStore()
    await mkdir(at)
    const module = new URL('../../src/flash/store.ts', import.meta.url).pathname
    const program = `import { unmountLeft } from '${module}'; await unmountLeft('${at}')`
    // The shell is process 1, and the host.
    const script =
      'set -e; mount "$1" "$2"; mount; echo ---; unshare -m "$0" --input-type=module -e "$3"; mount'
    const spaces = ['--mount', '--pid', '--fork', '--mount-proc', '--kill-child'] as const
    const argv = ['sh', '-c', script, process.execPath, device, at, program] as const
    const { stdout } = await run(['unshare', ...spaces, ...argv])
    const [before, after] = stdout.split('---')
    expect(before).toContain(at)
    expect(after).toContain(' on /proc ')
    expect(after).not.toContain(at)
  })

  test('another view of the same disk is no second one', async () => {
    const { uuid, at, device } = await madeStore()
    const view = await loopDevice(device)
    expect(view).not.toBe(device)
    await using store = await mountStore({ uuid, at })
    expect(store.device).toBe(device)
  })

  test('a view that is mounted is the one', async () => {
    const { uuid, at, device } = await madeStore()
    const view = await loopDevice(device)
    await mkdir(at)
    await run(['mount', view, at])
    onTestFinished(async () => {
      await run(['umount', at])
    })
    await using store = await mountStore({ uuid, readOnly: true })
    expect(store.device).toBe(view)
  })

  test('a damaged file system is not mounted, and nothing is left', async () => {
    const { uuid, at, device } = await madeStore()
    // The first inode table and the descriptors; the superblock stays.
    await damageStore(device)
    await expect(mountStore({ uuid, at })).rejects.toMatchObject({ code: 'process' })
    expect(await mountsAt(at)).toEqual([])
  })
})

test('a store that is not there is refused by its UUID', async () => {
  const uuid = randomUUID()
  await expect(mountStore({ uuid })).rejects.toMatchObject({
    code: 'refused',
    message: expect.stringContaining(uuid),
  })
})

describe('the plan on a store', () => {
  async function storeWith(bytes: Buffer, digest = planDigest(bytes)): Promise<string> {
    const folder = await scratchFolder()
    await writeFile(join(folder, STORE.plan), bytes)
    const attempts = { flash: 0, trial: 0 }
    const first = { state: 'staged', system: 'first-os', planDigest: digest, attempts } as const
    await createJournal(folder, first)
    return folder
  }

  const bytes = Buffer.from(`${JSON.stringify(flashPlan())}\n`)

  test('is read when it is that of the journal', async () => {
    expect(await readPlan(await storeWith(bytes))).toEqual(flashPlan())
  })

  test('with one byte more it is another', async () => {
    const folder = await storeWith(bytes)
    await writeFile(join(folder, STORE.plan), `${bytes.toString()} `)
    await expect(readPlan(folder)).rejects.toMatchObject({ code: 'digest' })
  })

  test('of another version is refused', async () => {
    const other = Buffer.from(JSON.stringify({ ...flashPlan(), format: 'osflash-plan/2' }))
    await expect(readPlan(await storeWith(other))).rejects.toMatchObject({ code: 'format' })
  })

  test('without a journal counts for nothing', async () => {
    const folder = await scratchFolder()
    await writeFile(join(folder, STORE.plan), bytes)
    await expect(readPlan(folder)).rejects.toMatchObject({ code: 'digest' })
  })

  test('that is not there is an error of the disk', async () => {
    await expect(readPlan(await scratchFolder())).rejects.toMatchObject({ code: 'io' })
  })
})
