import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { certificatesOf, secretKeysOf } from '../../src/cli/key-files.ts'
import { fingerprintsOf, isLocked, readSecretKeys } from '../../src/encrypt/keys.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { play } from './play.ts'

const FILES = ['recipient.key', 'recipient.pub', 'signer.key', 'signer.pub']
const { signal } = new AbortController()

async function scratchFolder(): Promise<string> {
  const scratch = await makeScratch('keygen')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  return scratch.path
}

const modeOf = async (path: string): Promise<string> =>
  ((await stat(path)).mode & 0o777).toString(8)

async function keysIn(folder: string, name: string) {
  const path = join(folder, name)
  return readSecretKeys({ bytes: await readFile(path), place: path })
}

test('writes four files, secret ones for the owner alone', async () => {
  const out = join(await scratchFolder(), 'deep/keys')
  const ended = await play(['keygen', '--out', out])
  expect(ended).toMatchObject({ status: 0, stderr: '' })
  expect(await readdir(out)).toEqual(FILES)
  const modes = await Promise.all(FILES.map((name) => modeOf(join(out, name))))
  expect(modes).toEqual(['600', '644', '600', '644'])
  expect(await modeOf(out)).toBe('700')
})

test('the modes do not depend on the umask', async () => {
  const out = await scratchFolder()
  const before = process.umask(0o077)
  onTestFinished(() => void process.umask(before))
  await play(['keygen', '--out', out])
  expect(await modeOf(join(out, 'signer.pub'))).toBe('644')
  expect(await modeOf(join(out, 'signer.key'))).toBe('600')
})

test('prints the fingerprints of the keys that act', async () => {
  const out = await scratchFolder()
  const { stdout } = await play(['--json', 'keygen', '--out', out])
  const report = JSON.parse(stdout)
  const [signer] = await certificatesOf([join(out, 'signer.pub')])
  const [recipient] = await certificatesOf([join(out, 'recipient.pub')])
  expect(report).toEqual({
    folder: out,
    signer: signer && fingerprintsOf(signer)[0],
    recipient: recipient && fingerprintsOf(recipient)[1],
  })
})

test('the keys are of version 6, and certificates those of the secret keys', async () => {
  const out = await scratchFolder()
  await play(['keygen', '--out', out, '--name', 'build farm'])
  for (const role of ['signer', 'recipient']) {
    const [key] = await keysIn(out, `${role}.key`)
    const [certificate] = await certificatesOf([join(out, `${role}.pub`)])
    expect(key?.keyPacket.version).toBe(6)
    expect(key && fingerprintsOf(key)).toEqual(certificate && fingerprintsOf(certificate))
    expect(certificate?.getUserIDs()).toEqual(['build farm'])
    expect(certificate?.isPrivate()).toBe(false)
  }
})

test('a passphrase locks both keys, and opens them again', async () => {
  const out = await scratchFolder()
  const passphraseFile = join(out, 'passphrase')
  await writeFile(passphraseFile, 'correct horse\n')
  await play(['keygen', '--out', out, '--passphrase-file', passphraseFile])
  for (const name of ['signer.key', 'recipient.key']) {
    expect((await keysIn(out, name)).map(isLocked)).toEqual([true])
    const keys = await secretKeysOf([join(out, name)], { passphraseFile, signal })
    expect(keys.map(isLocked)).toEqual([false])
  }
})

test.each(FILES)('with %s in the way, none is written', async (name) => {
  const out = await scratchFolder()
  await writeFile(join(out, name), 'mine')
  const ended = await play(['keygen', '--out', out])
  expect(ended).toMatchObject({ status: 3, stdout: '' })
  expect(ended.stderr).toContain(`osflash: error: writing ${join(out, name)}: it exists\n`)
  expect(ended.stderr).toContain('hint: choose another --out\n')
  expect(await readdir(out)).toEqual([name])
  expect(await readFile(join(out, name), 'utf8')).toBe('mine')
})

test('--force replaces all four', async () => {
  const out = await scratchFolder()
  for (const name of FILES) await writeFile(join(out, name), 'old', { mode: 0o666 })
  expect(await play(['keygen', '--out', out, '--force'])).toMatchObject({ status: 0 })
  for (const name of FILES) {
    expect(await readFile(join(out, name), 'utf8')).toMatch(/^-----BEGIN PGP /)
  }
  expect(await modeOf(join(out, 'signer.key'))).toBe('600')
})

test('a symbolic link in the way is replaced, never followed', async () => {
  const folder = await scratchFolder()
  const out = join(folder, 'keys')
  await mkdir(out)
  await writeFile(join(folder, 'elsewhere'), 'mine')
  await symlink('../elsewhere', join(out, 'signer.key'))
  expect(await play(['keygen', '--out', out])).toMatchObject({ status: 3 })
  expect(await play(['keygen', '--out', out, '--force'])).toMatchObject({ status: 0 })
  expect(await readFile(join(folder, 'elsewhere'), 'utf8')).toBe('mine')
})

test('a dangling link in the way counts as existing', async () => {
  const out = await scratchFolder()
  await symlink('nowhere', join(out, 'signer.pub'))
  expect(await play(['keygen', '--out', out])).toMatchObject({ status: 3 })
  expect(await readdir(out)).toEqual(['signer.pub'])
})

test('a link where the new file is made is refused: nobody is led elsewhere', async () => {
  const folder = await scratchFolder()
  const out = join(folder, 'keys')
  await mkdir(out)
  await writeFile(join(folder, 'elsewhere'), 'mine')
  await symlink('../elsewhere', join(out, 'signer.key.new'))
  const ended = await play(['keygen', '--out', out])
  expect(ended.status).toBe(6)
  expect(await readFile(join(folder, 'elsewhere'), 'utf8')).toBe('mine')
})

test('a file in place of the folder is named', async () => {
  const out = join(await scratchFolder(), 'file')
  await writeFile(out, '')
  const ended = await play(['keygen', '--out', out])
  expect(ended.status).toBe(6)
  expect(ended.stderr).toContain(`osflash: error: making ${out}: already exists\n`)
})

test('a folder that cannot be written is named', async () => {
  // Fails for root too.
  const ended = await play(['keygen', '--out', '/dev/null/keys'])
  expect(ended.status).toBe(6)
  expect(ended.stderr).toMatch(/^osflash: error: making \/dev\/null\/keys: not a directory/)
})

test('an empty passphrase makes no keys', async () => {
  const folder = await scratchFolder()
  await writeFile(join(folder, 'empty'), '\n')
  const out = join(folder, 'keys')
  const ended = await play(['keygen', '--out', out, '--passphrase-file', join(folder, 'empty')])
  expect(ended.status).toBe(2)
  await expect(stat(out)).rejects.toMatchObject({ code: 'ENOENT' })
})

test('a run that was cancelled before it asked makes no keys', async () => {
  const out = join(await scratchFolder(), 'keys')
  const ended = await play(['keygen', '--out', out, '--passphrase'], {
    signal: AbortSignal.abort(),
  })
  expect(ended).toMatchObject({ status: 130, stderr: 'osflash: error: cancelled\n' })
  await expect(stat(out)).rejects.toMatchObject({ code: 'ENOENT' })
})
