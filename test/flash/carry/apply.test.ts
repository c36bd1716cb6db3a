import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { applyCarry, canRender, renderable } from '../../../src/flash/carry/apply.ts'
import { writeCarry } from '../../../src/flash/carry/capture.ts'
import type { Carry } from '../../../src/flash/carry/model.ts'
import { makeScratch, type Scratch } from '../../../src/system/scratch.ts'
import { HASH, LOGIN_KEY, staticCarry, write } from './host-root.ts'

const SHADOW = 'root:*:19700:0:99999:7:::\ndaemon:*:19700:0:99999:7:::\n'
const IMAGE_KEY = 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABimage image'
const KEY = 'ssh_host_ed25519_key'
const NETWORKS = ['networkd', 'ifupdown'] as const

interface Place extends Scratch {
  readonly root: string
  readonly folder: string
  /** A neighbour that nothing may reach. */
  readonly outside: string
}

/** An image's root as our recipes make it, and a carry folder. */
async function makePlace(carry: Carry = staticCarry()): Promise<Place> {
  const scratch = await makeScratch('apply')
  const root = join(scratch.path, 'root')
  const folder = join(scratch.path, 'carry')
  const outside = join(scratch.path, 'outside')
  await mkdir(outside)
  await write(root, '/etc/passwd', 'root:x:0:0:root:/root:/bin/bash\n')
  await write(root, '/etc/shadow', SHADOW)
  await chmod(join(root, 'etc/shadow'), 0o640)
  await write(root, '/etc/hosts', '127.0.0.1\tlocalhost\n127.0.1.1\tdebian\n')
  await write(root, '/etc/hostname', 'debian\n')
  await write(root, '/etc/systemd/network/80-dhcp.network', '[Match]\nName=en*\n')
  await write(root, '/etc/ssh/ssh_host_dsa_key', 'of the image')
  await write(root, '/etc/ssh/ssh_host_rsa_key-cert.pub', 'of the image')
  await write(root, '/root/.ssh/authorized_keys', `${IMAGE_KEY}\n`)
  await symlink('../run/systemd/resolve/stub-resolv.conf', join(root, 'etc/resolv.conf'))
  await writeCarry(folder, {
    carry,
    files: {
      ssh: [
        { name: KEY, bytes: Buffer.from('secret') },
        { name: `${KEY}.pub`, bytes: Buffer.from('public') },
      ],
      rootKeys: `${LOGIN_KEY}\n`,
      rootShadow: `root:${HASH}:1:2:3:4:5:6:`,
    },
  })
  return { ...scratch, root, folder, outside }
}

const applyTo = ({ root, folder }: Place, network = 'networkd', carry = staticCarry()) =>
  applyCarry({ root, folder, network, carry })

const textOf = (place: Place, path: string) => readFile(join(place.root, path), 'utf8')

/** Path, kind or mode, and text of everything below a folder. */
async function treeOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const lines = entries.map(async (entry) => {
    const at = join(entry.parentPath, entry.name)
    const mode = ((await lstat(at)).mode & 0o7777).toString(8)
    if (entry.isSymbolicLink()) return `${at} -> ${await readlink(at)}`
    return entry.isFile() ? `${at} ${mode} ${await readFile(at, 'utf8')}` : `${at} ${mode}`
  })
  return (await Promise.all(lines)).sort()
}

describe.each(NETWORKS)('for %s', (network) => {
  test('done again, everything is as after the first time', async () => {
    await using place = await makePlace()
    await applyTo(place, network)
    const once = await treeOf(place.root)
    await applyTo(place, network)
    expect(await treeOf(place.root)).toEqual(once)
  })

  test('nothing outside of the root is touched, wherever its links point', async () => {
    await using place = await makePlace()
    const { root, outside } = place
    await writeFile(join(outside, 'victim'), 'untouched')
    await rm(join(root, 'etc/resolv.conf'))
    await symlink(`${outside}/victim`, join(root, 'etc/resolv.conf'))
    await rm(join(root, 'etc/systemd'), { recursive: true })
    await symlink(`../../../../../../../../../..${outside}`, join(root, 'etc/systemd'))
    await symlink(outside, join(root, 'etc/network'))
    await rm(join(root, 'root'), { recursive: true })
    await symlink(outside, join(root, 'root'))
    await applyTo(place, network)
    expect(await readdir(outside)).toEqual(['victim'])
    expect(await readFile(join(outside, 'victim'), 'utf8')).toBe('untouched')
  })
})

test('hostname, and its line in hosts', async () => {
  await using place = await makePlace()
  await applyTo(place)
  expect(await textOf(place, 'etc/hostname')).toBe('web1\n')
  expect(await textOf(place, 'etc/hosts')).toBe('127.0.0.1\tlocalhost\n127.0.1.1\tweb1\n')
})

test('host keys are replaced wholly, and only root reads the secret ones', async () => {
  await using place = await makePlace()
  await applyTo(place)
  expect((await readdir(join(place.root, 'etc/ssh'))).sort()).toEqual([KEY, `${KEY}.pub`])
  const modeOf = async (name: string) =>
    (await stat(join(place.root, 'etc/ssh', name))).mode & 0o777
  expect(await modeOf(KEY)).toBe(0o600)
  expect(await modeOf(`${KEY}.pub`)).toBe(0o644)
})

test('a host certificate is named to sshd, and no longer when there is none', async () => {
  await using place = await makePlace()
  const name = `${KEY}-cert.pub`
  await write(place.folder, `ssh/${name}`, 'certificate')
  await applyTo(place)
  const settings = 'etc/ssh/sshd_config.d/05-osflash.conf'
  expect(await textOf(place, settings)).toBe(`HostCertificate /etc/ssh/${name}\n`)
  await rm(join(place.folder, 'ssh', name))
  await applyTo(place)
  expect(await treeOf(join(place.root, 'etc/ssh'))).not.toContain(name)
  await expect(textOf(place, settings)).rejects.toMatchObject({ code: 'ENOENT' })
})

test("root's keys come before the image's, in a folder that sshd believes", async () => {
  await using place = await makePlace()
  const path = 'root/.ssh/authorized_keys'
  await chmod(join(place.root, 'root/.ssh'), 0o777)
  // The same key with a forced command would win if it came first.
  await write(place.root, `/${path}`, `${IMAGE_KEY}\ncommand="false" ${LOGIN_KEY}\n`)
  await applyTo(place)
  expect(await textOf(place, path)).toBe(`${LOGIN_KEY}\n${IMAGE_KEY}\n`)
  expect((await stat(join(place.root, 'root/.ssh'))).mode & 0o777).toBe(0o700)
  expect((await stat(join(place.root, path))).mode & 0o777).toBe(0o600)
})

test("root's hash is merged into its line; mode and other lines stay", async () => {
  await using place = await makePlace()
  await applyTo(place)
  expect(await textOf(place, 'etc/shadow')).toBe(SHADOW.replace('root:*', `root:${HASH}`))
  expect((await stat(join(place.root, 'etc/shadow'))).mode & 0o777).toBe(0o640)
})

test('without a password the image keeps what it has', async () => {
  const carry = staticCarry({ hasRootPassword: false })
  await using place = await makePlace(carry)
  await applyTo(place, 'networkd', carry)
  expect(await textOf(place, 'etc/shadow')).toBe(SHADOW)
})

describe('resolv.conf', () => {
  const wants = '/etc/systemd/system/sysinit.target.wants/systemd-resolved.service'

  test('is written where nothing else makes it', async () => {
    await using place = await makePlace()
    await applyTo(place)
    const path = join(place.root, 'etc/resolv.conf')
    expect((await lstat(path)).isFile()).toBe(true)
    expect(await readFile(path, 'utf8')).toContain(
      'search example.net\nnameserver 9.9.9.9\nnameserver 2620:fe::fe\n',
    )
  })

  test('is left to systemd-resolved where that is enabled', async () => {
    await using place = await makePlace()
    await write(place.root, wants, '')
    await rm(join(place.root, 'etc/resolv.conf'))
    await applyTo(place)
    const to = await readlink(join(place.root, 'etc/resolv.conf'))
    expect(to).toBe('../run/systemd/resolve/stub-resolv.conf')
  })

  test('stays as it is when no name server is known', async () => {
    const carry = staticCarry({ dnsServers: [] })
    await using place = await makePlace(carry)
    const before = await readlink(join(place.root, 'etc/resolv.conf'))
    await applyTo(place, 'networkd', carry)
    expect(await readlink(join(place.root, 'etc/resolv.conf'))).toBe(before)
  })
})

test('networkd: what sorts before our files does not win', async () => {
  await using place = await makePlace()
  await write(place.root, '/etc/systemd/network/00-all.network', '[Match]\nName=*\n')
  await write(place.root, '/usr/lib/systemd/network/00-vendor.network', '[Match]\nName=*\n')
  await write(place.root, '/etc/systemd/network/05-osflash-07.network', 'of an earlier try')
  await applyTo(place)
  const folder = join(place.root, 'etc/systemd/network')
  expect((await readdir(folder)).sort()).toEqual([
    '00-all.network.before-osflash',
    '00-vendor.network',
    '05-osflash-00.network',
    '80-dhcp.network',
  ])
  expect(await readlink(join(folder, '00-vendor.network'))).toBe('/dev/null')
})

test("ifupdown: the image's own file is kept aside, once", async () => {
  await using place = await makePlace()
  await write(place.root, '/etc/network/interfaces', 'source-directory interfaces.d\n')
  await applyTo(place, 'ifupdown')
  await applyTo(place, 'ifupdown')
  expect(await textOf(place, 'etc/network/interfaces')).toContain('address 192.0.2.10/24')
  expect(await textOf(place, 'etc/network/interfaces.before-osflash')).toBe(
    'source-directory interfaces.d\n',
  )
})

test.each(['netplan', 'networkmanager', 'windows', 'toString'])('refused: %s', async (network) => {
  await using place = await makePlace()
  const before = await treeOf(place.root)
  expect(canRender(network)).toBe(false)
  await expect(applyTo(place, network)).rejects.toMatchObject({ code: 'refused' })
  expect(await treeOf(place.root)).toEqual(before)
})

test('what can be rendered is known beforehand', () => {
  expect(renderable().every(canRender)).toBe(true)
  expect(renderable()).toEqual([...NETWORKS])
})
