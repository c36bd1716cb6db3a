/** The files of the image writer: payloads that it opens, the image that appears or does not. */
import { readdirSync, readlinkSync } from 'node:fs'
import { chmod, open, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readRange, writeRange } from '../../../src/pack/image/file-range.ts'
import { openPayloads } from '../../../src/pack/image/open-payloads.ts'
import { createPartialFile } from '../../../src/pack/image/partial-file.ts'
import { makeFolder, makeSource, noise } from './fixtures.ts'

/** Paths below `folder` that this process has open. */
function openBelow(folder: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`)
      return path.startsWith(folder) ? [path] : []
    } catch {
      // The descriptor of the listing itself.
      return []
    }
  })
}

describe('openPayloads', () => {
  it('opens every file until the block is left', async () => {
    await using folder = await makeFolder()
    const raw = noise(10, 1)
    const { payloads } = await makeSource(folder.path, [
      { name: 'a', raw },
      { name: 'b', raw, before: 7 },
    ])
    {
      await using opened = await openPayloads(payloads)
      expect(opened.opened.map(({ fileOffset }) => fileOffset)).toEqual([0, 7])
      expect(openBelow(folder.path)).toHaveLength(2)
    }
    expect(openBelow(folder.path)).toEqual([])
  })

  it('closes those that it opened when a later one cannot be', async () => {
    await using folder = await makeFolder()
    const { payloads } = await makeSource(folder.path, [{ name: 'a', raw: noise(10, 1) }])
    const absent = payloads.map((one) => ({ ...one, path: join(folder.path, 'absent') }))
    await expect(openPayloads([...payloads, ...absent])).rejects.toMatchObject({ code: 'io' })
    expect(openBelow(folder.path)).toEqual([])
  })
})

describe('createPartialFile', () => {
  it('has the final name only after the commit', async () => {
    await using folder = await makeFolder()
    const path = join(folder.path, 'image')
    {
      await using file = await createPartialFile({ path, force: false })
      await file.resize(10)
      await file.write(Buffer.from('abc'), 2)
      expect(await readdir(folder.path)).toEqual(['image.partial'])
      await file.commit(undefined)
      expect(await readdir(folder.path)).toEqual(['image'])
    }
    expect(await readFile(path, 'latin1')).toBe('\0\0abc\0\0\0\0\0')
    expect(openBelow(folder.path)).toEqual([])
  })

  it('is gone when the block is left without a commit', async () => {
    await using folder = await makeFolder()
    const path = join(folder.path, 'image')
    const work = async (): Promise<void> => {
      await using file = await createPartialFile({ path, force: false })
      await file.write(Buffer.from('abc'), 0)
      throw new Error('in the middle')
    }
    await expect(work()).rejects.toThrow('in the middle')
    expect(await readdir(folder.path)).toEqual([])
    expect(openBelow(folder.path)).toEqual([])
  })

  it('is gone when it is cancelled while it is flushed', async () => {
    await using folder = await makeFolder()
    const path = join(folder.path, 'image')
    const work = async (): Promise<void> => {
      await using file = await createPartialFile({ path, force: false })
      await file.commit(AbortSignal.abort())
    }
    await expect(work()).rejects.toMatchObject({ code: 'cancelled' })
    expect(await readdir(folder.path)).toEqual([])
  })

  it('keeps the old file until the new one takes its name, with force', async () => {
    await using folder = await makeFolder()
    const path = join(folder.path, 'image')
    await writeFile(path, 'old')
    await expect(createPartialFile({ path, force: false })).rejects.toMatchObject({
      code: 'refused',
      message: `writing ${path}: already exists`,
    })
    await using file = await createPartialFile({ path, force: true, mode: 0o600 })
    await file.write(Buffer.from('new'), 0)
    expect(await readFile(path, 'utf8')).toBe('old')
    await file.commit(undefined)
    expect(await readFile(path, 'utf8')).toBe('new')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })
})

describe('readRange and writeRange', () => {
  it('read what was written, at its place', async () => {
    await using folder = await makeFolder()
    const path = join(folder.path, 'file')
    await using handle = await open(path, 'wx+')
    const file = { path, fd: handle.fd }
    const bytes = noise(5_000, 1)
    writeRange(file, 1_234, bytes)
    const back = Buffer.alloc(5_000)
    readRange(file, 1_234, back)
    expect(back.equals(bytes)).toBe(true)
  })

  it('name the file and the byte when they fail', async () => {
    await using folder = await makeFolder()
    const path = join(folder.path, 'file')
    await writeFile(path, 'short')
    await chmod(path, 0o600)
    await using handle = await open(path, 'r')
    const file = { path, fd: handle.fd }
    expect(() => readRange(file, 2, Buffer.alloc(9))).toThrow(
      `reading ${path} at byte 5: the file ends here`,
    )
    expect(() => writeRange(file, 3, Buffer.alloc(1))).toThrow(`writing ${path} at byte 3: `)
  })

  it('say that no space is left', async () => {
    await using handle = await open('/dev/full', 'r+')
    const file = { path: '/dev/full', fd: handle.fd }
    expect(() => writeRange(file, 0, Buffer.alloc(1))).toThrow(
      'writing /dev/full at byte 0: no space left',
    )
  })
})
