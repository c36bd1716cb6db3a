import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readCarry, writeCarry } from '../../../src/flash/carry/capture.ts'
import { CARRY_FILES } from '../../../src/flash/carry/model.ts'
import {
  firstOfEachType,
  readHostKeys,
  sshdOrUsual,
  sshFiles,
} from '../../../src/flash/carry/ssh-identity.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import {
  fingerprint,
  HASH,
  LOGIN_KEY,
  makeHostKey,
  makeHostRoot,
  staticCarry,
  write,
} from './host-root.ts'

describe('SSH', () => {
  test('keys of other places get their usual names; a certificate goes with its key', async () => {
    await using host = await makeHostRoot()
    const root = host.path
    await makeHostKey(root, 'rsa')
    await makeHostKey(root, 'ecdsa')
    await mkdir(join(root, 'keys'))
    const own = await readFile(join(root, 'etc/ssh/ssh_host_rsa_key'))
    await writeFile(join(root, 'keys/mine'), own, { mode: 0o600 })
    await symlink('/keys/mine', join(root, 'etc/ssh/linked'))
    const paths = ['/etc/ssh/linked', '/etc/ssh/ssh_host_rsa_key', '/etc/ssh/ssh_host_dsa_key']
    const keys = await readHostKeys({ root }, [...paths, '/etc/ssh/ssh_host_ed25519_key'])
    expect(keys.map(({ type }) => type)).toEqual(['rsa', 'ed25519'])
    const certificate = 'ssh-rsa-cert-v01@openssh.com AAAA host\n'
    const files = sshFiles(firstOfEachType(keys), [certificate])
    expect(files.map(({ name }) => name)).toEqual([
      'ssh_host_rsa_key',
      'ssh_host_rsa_key.pub',
      'ssh_host_rsa_key-cert.pub',
      'ssh_host_ed25519_key',
      'ssh_host_ed25519_key.pub',
    ])
    expect(Buffer.from(files[0]?.bytes ?? []).equals(own)).toBe(true)
  })

  test('the public half comes from the private key, not from a stale .pub', async () => {
    await using host = await makeHostRoot()
    const path = join(host.path, 'etc/ssh/ssh_host_ed25519_key.pub')
    const right = await fingerprint(path)
    await writeFile(path, 'ssh-ed25519 AAAAstale\n')
    const [key] = await readHostKeys({ root: host.path }, ['/etc/ssh/ssh_host_ed25519_key'])
    expect(key?.fingerprint).toBe(right)
  })

  test('a key with a passphrase is refused, not asked for', async () => {
    await using host = await makeHostRoot()
    await makeHostKey(host.path, 'ecdsa', ['-N', 'secret'])
    const reading = readHostKeys({ root: host.path }, ['/etc/ssh/ssh_host_ecdsa_key'])
    await expect(reading).rejects.toMatchObject({ code: 'refused' })
  })

  test('without an sshd to ask, the usual places count, in the home of root', async () => {
    await using host = await makeHostRoot()
    await write(host.path, '/etc/passwd', 'daemon:x:1:1::/:\nroot:x:0:0:root:/home/boss:/bin/sh\n')
    const { settings, why } = await sshdOrUsual({ root: host.path })
    expect(why).toBeDefined()
    expect(settings.hostKeys).toEqual(['/etc/ssh/ssh_host_ed25519_key'])
    expect(settings.rootKeyFiles[0]).toBe('/home/boss/.ssh/authorized_keys')
  })
})

describe('the carry folder', () => {
  const files = {
    ssh: [{ name: 'ssh_host_rsa_key', bytes: Buffer.from('key') }],
    rootKeys: `${LOGIN_KEY}\n`,
    rootShadow: `root:${HASH}:1::::::`,
  }

  test('what was written is read again, and only root may', async () => {
    await using scratch = await makeScratch('carry')
    const folder = join(scratch.path, 'carry')
    await mkdir(folder)
    await writeFile(join(folder, 'left-over'), 'of an earlier try')
    await writeCarry(folder, { carry: staticCarry(), files })
    expect(await readCarry(folder)).toEqual({ carry: staticCarry(), files })
    expect((await readdir(folder)).sort()).toEqual(Object.values(CARRY_FILES).sort())
    const modes = await Promise.all(
      ['', 'ssh', 'ssh/ssh_host_rsa_key', 'root-shadow', 'carry.json'].map(async (name) => {
        return ((await stat(join(folder, name))).mode & 0o777).toString(8)
      }),
    )
    expect(modes).toEqual(['700', '700', '600', '600', '600'])
  })

  test('without a password there is no shadow line', async () => {
    await using scratch = await makeScratch('carry')
    const folder = join(scratch.path, 'carry')
    const carry = staticCarry({ hasRootPassword: false })
    await writeCarry(folder, { carry, files: { ssh: [], rootKeys: '' } })
    expect(await readdir(folder)).not.toContain('root-shadow')
    expect(await readCarry(folder)).toEqual({ carry, files: { ssh: [], rootKeys: '' } })
  })

  test('missing, or not a carry', async () => {
    await using scratch = await makeScratch('carry')
    await expect(readCarry(scratch.path)).rejects.toMatchObject({ code: 'io' })
    await writeFile(join(scratch.path, 'carry.json'), '{"format":"osflash-carry/9"}')
    await expect(readCarry(scratch.path)).rejects.toMatchObject({ code: 'format' })
  })
})
