/** A folder with the files of a host that the carry reads. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Carry } from '../../../src/flash/carry/model.ts'
import { run } from '../../../src/system/run.ts'
import { makeScratch, type Scratch } from '../../../src/system/scratch.ts'

export const HASH = '$y$j9T$salt$hash'
export const LOGIN_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxvZ2lu me@home'
const FORCED = `command="echo no" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZvcmNlZA== cloud`

export async function write(root: string, path: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true })
  await writeFile(join(root, path), text)
}

export async function makeHostRoot(): Promise<Scratch> {
  const scratch = await makeScratch('host-root')
  const root = scratch.path
  await write(root, '/etc/hostname', '# name\nweb1.example.net\n')
  await write(root, '/etc/passwd', 'root:x:0:0:root:/root:/bin/bash\n')
  await write(root, '/etc/shadow', `root:${HASH}:19000:0:99999:7:::\ndaemon:*:1::::::\n`)
  await write(root, '/etc/resolv.conf', 'nameserver 127.0.0.53\nsearch example.net\n')
  await write(root, '/run/systemd/resolve/resolv.conf', 'nameserver 9.9.9.9\nsearch .\n')
  await write(root, '/root/.ssh/authorized_keys', `# keys\n${LOGIN_KEY}\n${FORCED}\n`)
  await mkdir(join(root, 'etc/ssh'))
  await makeHostKey(root, 'ed25519')
  return scratch
}

/** A new host key at its usual place. */
export async function makeHostKey(root: string, type: string, more: string[] = []) {
  const path = join(root, `etc/ssh/ssh_host_${type}_key`)
  const secret = more.length > 0 ? more : ['-N', '']
  await run(['ssh-keygen', '-q', '-t', type, '-C', 'root@host', ...secret, '-f', path])
}

/** As `ssh-keygen -l` has it. */
export async function fingerprint(path: string): Promise<string> {
  const { stdout } = await run(['ssh-keygen', '-l', '-f', path])
  return stdout.split(' ')[1] ?? ''
}

/** A carry with one static interface, to be changed. */
export const staticCarry = (more: Partial<Carry> = {}): Carry => ({
  format: 'osflash-carry/1',
  hostname: 'web1',
  interfaces: [staticInterface()],
  dnsServers: ['9.9.9.9', '2620:fe::fe'],
  dnsDomains: ['example.net'],
  reach: { gateways: ['192.0.2.1'], addresses: ['192.0.2.10', '2001:db8::10'] },
  hostKeys: ['SHA256:none'],
  rootKeys: 1,
  hasRootPassword: true,
  ...more,
})

type Interface = Carry['interfaces'][number]

export const staticInterface = (more: Partial<Interface> = {}): Interface => ({
  kind: 'ethernet',
  name: 'ens3',
  mac: '52:54:00:12:34:56',
  macIsPermanent: true,
  dhcp4: false,
  dhcp6: false,
  acceptRouterAdvertisements: false,
  addresses: [
    { family: 'inet', cidr: '192.0.2.10/24' },
    { family: 'inet6', cidr: '2001:db8::10/64' },
  ],
  routes: [{ family: 'inet', destination: 'default', gateway: '192.0.2.1', onLink: false }],
  dnsServers: [],
  dnsDomains: [],
  ...more,
})
