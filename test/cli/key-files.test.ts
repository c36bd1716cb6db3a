import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { certificatesOf, readPassphrase, secretKeysOf, trustOf } from '../../src/cli/key-files.ts'
import { openFileSource } from '../../src/deliver/file.ts'
import { generateKeys, isLocked, type NewKeys } from '../../src/encrypt/keys.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { openImage } from '../../src/unpack/image.ts'
import { vectorKey, vectorPath } from '../vectors/vectors.ts'

const PASSPHRASE = 'correct horse'
const { signal } = new AbortController()
const noFile = { passphraseFile: undefined, signal }
let locked: NewKeys

beforeAll(async () => {
  locked = await generateKeys({ passphrase: PASSPHRASE })
})

/** A folder with these files; gives the path of one. */
async function folderWith(files: Readonly<Record<string, string>>) {
  const scratch = await makeScratch('key-files')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(scratch.path, name), text)
  }
  return (name: string): string => join(scratch.path, name)
}

test('without --trust nothing is believed, and the hint can be typed', async () => {
  await expect(trustOf({})).rejects.toMatchObject({
    code: 'usage',
    message: 'no --trust given: nothing says whose signature counts',
    hints: [expect.stringMatching(/^--trust /), expect.stringMatching(/^--insecure-unsigned /)],
  })
})

test('--insecure-unsigned believes anybody, but only without --trust', async () => {
  expect(await trustOf({ insecureUnsigned: true })).toBeUndefined()
  const check = await trustOf({ insecureUnsigned: true, trust: [vectorKey('signer.pub')] })
  expect(check).toBeTypeOf('function')
})

test('a threshold without --trust is refused: nobody would be counted', async () => {
  await expect(trustOf({ threshold: 2, insecureUnsigned: true })).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringContaining('--threshold'),
  })
})

async function opens(vector: string, trust: readonly string[], threshold?: number) {
  const check = await trustOf({ trust, ...(threshold === undefined ? {} : { threshold }) })
  await using source = await openFileSource(vectorPath(vector))
  return (await openImage(source, check)).signers.length
}
const signer = vectorKey('signer.pub')
const stranger = vectorKey('stranger.pub')

test('one trusted signer is enough unless a threshold says otherwise', async () => {
  expect(await opens('ok-zstd-ocb', [signer])).toBe(1)
  expect(await opens('ok-two-signers', [signer, stranger], 2)).toBe(2)
  await expect(opens('ok-two-signers', [signer], 2)).rejects.toMatchObject({ code: 'signature' })
  await expect(opens('ok-zstd-ocb', [signer, stranger], 2)).rejects.toMatchObject({
    code: 'signature',
  })
})

test('the same certificate twice counts once', async () => {
  await expect(opens('ok-zstd-ocb', [signer, signer], 2)).rejects.toMatchObject({
    code: 'signature',
  })
})

test('a signer that is not pinned counts nothing', async () => {
  await expect(opens('ok-zstd-ocb', [stranger])).rejects.toMatchObject({ code: 'signature' })
})

test('a file may hold several certificates, one after another', async () => {
  const both = await Promise.all([signer, stranger].map((path) => readFile(path, 'utf8')))
  const path = await folderWith({ 'keyring.pub': both.join('\n') })
  expect(await certificatesOf([path('keyring.pub')])).toHaveLength(2)
  expect(await opens('ok-two-signers', [path('keyring.pub')], 2)).toBe(2)
})

test('a secret key given as a certificate counts as its certificate', async () => {
  const [certificate] = await certificatesOf([vectorKey('signer.key')])
  expect(certificate?.isPrivate()).toBe(false)
  expect(await opens('ok-zstd-ocb', [vectorKey('signer.key')])).toBe(1)
})

test('a certificate given as a secret key says what to give', async () => {
  await expect(secretKeysOf([signer], noFile)).rejects.toMatchObject({
    code: 'trust',
    message: `reading ${signer}: only certificates, no secret key`,
    hints: [expect.stringContaining('signer.key')],
  })
})

test.each(['', 'ssh-ed25519 AAAA me', '-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n'])(
  'a file with %j is no key',
  async (text) => {
    const path = await folderWith({ odd: text })
    const error = { code: 'trust', message: `reading ${path('odd')}: no OpenPGP key` }
    await expect(certificatesOf([path('odd')])).rejects.toMatchObject(error)
    await expect(secretKeysOf([path('odd')], noFile)).rejects.toMatchObject(error)
  },
)

test('a file that is not there is named', async () => {
  const path = await folderWith({})
  const error = {
    code: 'io',
    message: `reading ${path('none')}: no such file or directory`,
  }
  await expect(certificatesOf([signer, path('none')])).rejects.toMatchObject(error)
  await expect(secretKeysOf([path('none')], noFile)).rejects.toMatchObject(error)
  await expect(trustOf({ trust: [path('none')] })).rejects.toMatchObject(error)
  await expect(readPassphrase(path('none'))).rejects.toMatchObject(error)
})

test('a folder in place of a key file is named as such', async () => {
  const path = await folderWith({})
  await expect(certificatesOf([path('.')])).rejects.toMatchObject({
    code: 'io',
    message: expect.stringMatching(/: is a directory$/),
  })
})

test('open keys need no passphrase, and several files give several keys', async () => {
  const paths = [vectorKey('recipient.key'), vectorKey('gpg-recipient.key')]
  const keys = await secretKeysOf(paths, noFile)
  expect(keys).toHaveLength(2)
  expect(keys.some(isLocked)).toBe(false)
  expect(await secretKeysOf([], noFile)).toEqual([])
})

test('a locked key is unlocked with the first line of a file', async () => {
  const path = await folderWith({ key: locked.signerKey, pass: `${PASSPHRASE}\nsecond line\n` })
  const [key] = await secretKeysOf([path('key')], { passphraseFile: path('pass'), signal })
  expect(key !== undefined && isLocked(key)).toBe(false)
})

test('a wrong passphrase is a decryption error that names the key', async () => {
  const path = await folderWith({ key: locked.recipientKey, pass: `${PASSPHRASE} \n` })
  const wrong = { passphraseFile: path('pass'), signal }
  await expect(secretKeysOf([path('key')], wrong)).rejects.toMatchObject({
    code: 'decryption',
    message: expect.stringMatching(/^unlocking key [0-9A-F]{64}: wrong passphrase$/),
  })
})

test('a passphrase in a file that is missing is told before anything is unlocked', async () => {
  const path = await folderWith({ key: locked.signerKey })
  const missing = { passphraseFile: path('none'), signal }
  await expect(secretKeysOf([path('key')], missing)).rejects.toMatchObject({ code: 'io' })
})

test.each([
  ['one', 'one'],
  ['one\n', 'one'],
  ['one\r\n', 'one'],
  ['one\ntwo\n', 'one'],
  [' one \n', ' one '],
  ['größe\n', 'größe'],
])('the passphrase in %j is %j', async (text, passphrase) => {
  const path = await folderWith({ pass: text })
  expect(await readPassphrase(path('pass'))).toBe(passphrase)
})

test.each(['', '\n', '\r\n', '\nsecond'])('the passphrase in %j is empty', async (text) => {
  const path = await folderWith({ pass: text })
  await expect(readPassphrase(path('pass'))).rejects.toMatchObject({
    code: 'usage',
    message: `reading ${path('pass')}: the passphrase is empty`,
  })
})
