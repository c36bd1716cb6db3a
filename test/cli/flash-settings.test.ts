/** Settings of a replacement: the command line over the file, and what a file may say. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { flashRequestOf } from '../../src/cli/flash-options.ts'
import { readSettings } from '../../src/cli/flash-settings.ts'
import type { VerbContext } from '../../src/cli/verb.ts'
import { openFileSource } from '../../src/deliver/file.ts'
import { openImage } from '../../src/unpack/image.ts'

const keys = join(import.meta.dirname, '../vectors/keys')
const silent = { isTerminal: false, write: () => undefined }
const context: VerbContext = {
  signal: new AbortController().signal,
  json: false,
  env: {},
  emit: () => undefined,
  stdout: silent,
  stderr: silent,
}

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'osflash-settings-'))
})
afterEach(() => rm(folder, { recursive: true }))

async function settingsFile(text: string): Promise<string> {
  const path = join(folder, 'apply.yaml')
  await writeFile(path, text, { mode: 0o600 })
  return path
}

describe('the settings file', () => {
  it('may be missing, unless it was named', async () => {
    const path = join(folder, 'none.yaml')
    expect(await readSettings({ disk: 'A' }, path)).toEqual({ disk: 'A' })
    await expect(readSettings({ config: path }, path)).rejects.toMatchObject({ code: 'io' })
  })

  it('has all settings by their names, with paths from its folder', async () => {
    const path = await settingsFile(`
rescue: images/rescue.osimg
target: https://images.example/web.osimg
disk: WD-1
stage: /dev/disk/by-id/ata-2
trust: signer.pub
threshold: 2
identity: [a.key, /etc/b.key]
passphrase-file: secret
go: ssh
go-within: 60
confirm: none
confirm-within: 61
wipe-data: true
accept-no-watchdog: true
notify: https://hooks.example/x
`)
    expect(await readSettings({}, path)).toEqual({
      rescue: join(folder, 'images/rescue.osimg'),
      target: 'https://images.example/web.osimg',
      disk: 'WD-1',
      stage: '/dev/disk/by-id/ata-2',
      trust: [join(folder, 'signer.pub')],
      threshold: 2,
      identity: [join(folder, 'a.key'), '/etc/b.key'],
      passphraseFile: join(folder, 'secret'),
      go: 'ssh',
      goWithin: 60,
      confirm: 'none',
      confirmWithin: 61,
      wipeData: true,
      acceptNoWatchdog: true,
      notify: 'https://hooks.example/x',
    })
  })

  it('gives way to the command line, setting by setting', async () => {
    const path = await settingsFile('disk: FILE\nstage: FILE\nwipe-data: false\n')
    const options = { disk: 'LINE', wipeData: true }
    expect(await readSettings(options, path)).toEqual({
      disk: 'LINE',
      stage: 'FILE',
      wipeData: true,
    })
  })

  it.each(['', '# nothing\n', '{}'])('may say nothing: %j', async (text) => {
    expect(await readSettings({ go: 'auto' }, await settingsFile(text))).toEqual({ go: 'auto' })
  })

  it.each([
    ['unknown: 1', 'unknown setting unknown'],
    ['yes: true', 'unknown setting yes'],
    ['go: maybe', ': go: '],
    ['threshold: 0', ': threshold: '],
    ['confirm-within: 86401', ': confirm-within: '],
    ['trust: []', ': trust: '],
    ['disk: [A]', ': disk: '],
    ['wipe-data: "yes"', ': wipe-data: '],
    ['disk: A\ndisk: B', 'apply.yaml: '],
    ['- a list', 'apply.yaml: all of it: '],
    ['trust: &a signer.pub\nidentity: *a', 'apply.yaml: aliases (*name) are not taken'],
  ])('is refused: %j', async (text, words) => {
    const path = await settingsFile(text)
    await expect(readSettings({}, path)).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining(words),
      hints: expect.arrayContaining(['osflash plan --help']),
    })
  })

  it.each([0o620, 0o602, 0o666])('is refused when others may write to it: %o', async (mode) => {
    const path = await settingsFile('disk: A\n')
    await chmod(path, mode)
    await expect(readSettings({}, path)).rejects.toMatchObject({
      code: 'refused',
      hints: [`chmod go-w ${path}`],
    })
  })
})

describe('the request', () => {
  const options = {
    rescue: 'r.osimg',
    target: 't.osimg',
    disk: 'A',
    stage: 'B',
    trust: [join(keys, 'signer.pub')],
    identity: [join(keys, 'recipient.key')],
    // Never the one of the machine that runs the tests.
    config: '',
  }
  const request = async (changes: object) =>
    flashRequestOf({ ...options, config: await settingsFile(''), ...changes }, context)

  it('has defaults that an operator can live with', async () => {
    const { input, trust } = await request({})
    expect(input).toMatchObject({
      rescue: 'r.osimg',
      go: { how: 'auto', withinSeconds: 900 },
      confirm: { how: 'auto', withinSeconds: 600 },
      wipeData: false,
      acceptNoWatchdog: false,
    })
    expect(input).not.toHaveProperty('notify')
    expect(input.identities).toHaveLength(1)
    expect(trust).toEqual(options.trust)
  })

  it.each(['rescue', 'target', 'disk', 'stage', 'trust', 'identity'])(
    'names what is missing: --%s',
    async (name) => {
      const { [name as keyof typeof options]: _, ...rest } = options
      const config = await settingsFile('')
      await expect(flashRequestOf({ ...rest, config }, context)).rejects.toMatchObject({
        code: 'usage',
        message: expect.stringContaining(`no --${name} given`),
      })
    },
  )

  it.each(['not an address', 'file:///etc/passwd', 'ftp://x', 'http://me:secret@host/x'])(
    'tells nobody but web servers: %s',
    async (notify) => {
      await expect(request({ notify })).rejects.toMatchObject({ code: 'usage' })
      const { input } = await request({ notify: 'http://hooks.example/token' })
      expect(input.notify).toBe('http://hooks.example/token')
    },
  )

  it('believes the signature of one of --trust, and no other', async () => {
    const vector = (name: string) => join(keys, '..', name)
    const signersOf = async (image: string) => {
      const { input } = await request({})
      await using source = await openFileSource(vector(image))
      return (await openImage(source, input.check)).signers
    }
    expect(await signersOf('ok-zstd-ocb.osimg')).toHaveLength(1)
    await expect(signersOf('signer-unpinned.osimg')).rejects.toMatchObject({ code: 'signature' })
  })
})
