import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, open, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { erase, eraseSecrets, eraseSessionKey, hasSecrets } from '../../src/flash/erase.ts'
import { STORE } from '../../src/flash/places.ts'
import { makeScratch } from '../../src/system/scratch.ts'

async function store(): Promise<string> {
  const scratch = await makeScratch('erase-test', '/var/tmp')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  return scratch.path
}

test('erases the session key and the carry, and nothing else', async () => {
  const folder = await store()
  await writeFile(join(folder, STORE.sessionKey), 'f'.repeat(64))
  await writeFile(join(folder, `${STORE.sessionKey}.new`), 'of a write that was cut')
  await mkdir(join(folder, STORE.carry, 'ssh'), { recursive: true })
  await writeFile(join(folder, STORE.carry, 'ssh/ssh_host_ed25519_key'), 'secret')
  await writeFile(join(folder, STORE.carry, 'empty'), '')
  await writeFile(join(folder, STORE.notify), 'https://hooks.example/token')
  await writeFile(join(folder, `${STORE.notify}.new`), 'https://hooks.ex')
  await writeFile(join(folder, STORE.plan), 'plan')
  expect(await hasSecrets(folder)).toBe(true)
  await eraseSecrets(folder)
  expect(await hasSecrets(folder)).toBe(false)
  expect(await readdir(folder)).toEqual([STORE.plan])
})

test('erases the session key alone, and what a cut write of it left', async () => {
  const folder = await store()
  await writeFile(join(folder, STORE.sessionKey), 'f'.repeat(64))
  await writeFile(join(folder, `${STORE.sessionKey}.new`), 'f')
  await mkdir(join(folder, STORE.carry))
  await eraseSessionKey(folder)
  expect(await readdir(folder)).toEqual([STORE.carry])
})

test('is safe to repeat, and where there was nothing', async () => {
  const folder = await store()
  await eraseSecrets(folder)
  await writeFile(join(folder, STORE.sessionKey), 'f')
  await eraseSecrets(folder)
  await eraseSecrets(folder)
  expect(await readdir(folder)).toEqual([])
})

test('overwrites the very bytes, however many', async () => {
  const folder = await store()
  const path = join(folder, 'key')
  await writeFile(path, Buffer.alloc(3_000_001, 'x'))
  // The descriptor still sees the file when its name is gone.
  await using file = await open(path, 'r')
  await erase(path)
  const rest = await file.readFile()
  expect(rest.length).toBe(3_000_001)
  expect(rest.every((byte) => byte === 0)).toBe(true)
})

test('does not follow links', async () => {
  const folder = await store()
  const outside = join(folder, 'outside')
  await writeFile(outside, 'kept')
  await mkdir(join(folder, STORE.carry))
  await symlink(outside, join(folder, STORE.carry, 'link'))
  await symlink(folder, join(folder, STORE.carry, 'folder'))
  await eraseSecrets(folder)
  expect(await readFile(outside, 'utf8')).toBe('kept')
  expect(await readdir(folder)).toEqual(['outside'])
})

test('goes on where a cut left a file already zero', async () => {
  const folder = await store()
  await writeFile(join(folder, STORE.sessionKey), Buffer.alloc(64))
  await eraseSecrets(folder)
  expect(await readdir(folder)).toEqual([])
})

test('says which file it could not erase', async () => {
  const folder = await store()
  await expect(erase(join(folder, 'a'.repeat(300)))).rejects.toMatchObject({ code: 'io' })
})

test('what cannot be erased keeps none of the others', async () => {
  const folder = await store()
  const ssh = join(folder, STORE.carry, 'ssh')
  await mkdir(ssh, { recursive: true })
  for (const path of [join(folder, STORE.sessionKey), join(ssh, 'a')]) await makeBusy(path)
  for (const path of [join(ssh, 'b'), join(folder, STORE.carry, 'shadow')]) {
    await writeFile(path, 'secret')
  }
  await writeFile(join(folder, STORE.notify), 'https://hooks.example/token')
  await expect(eraseSecrets(folder)).rejects.toMatchObject({
    code: 'io',
    message: expect.stringContaining(`erasing ${join(folder, STORE.sessionKey)}: `),
  })
  expect((await readdir(folder)).sort()).toEqual([STORE.carry, STORE.sessionKey])
  expect(await readdir(join(folder, STORE.carry))).toEqual(['ssh'])
  expect(await readdir(ssh)).toEqual(['a'])
})

/** A program that runs takes no writes: it stands for a bad sector. */
async function makeBusy(path: string): Promise<void> {
  await copyFile('/bin/sleep', path)
  const child = spawn(path, ['60'], { stdio: 'ignore' })
  const ended = once(child, 'exit')
  onTestFinished(async () => {
    child.kill()
    await ended
  })
  await once(child, 'spawn')
}
