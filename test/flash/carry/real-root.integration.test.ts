/**
 * The whole way in real Debian roots: captured in one network namespace, applied to the root, taken
 * by its sshd, brought up by its network service in another namespace, captured there again.
 */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as z from 'zod/mini'
import { applyCarry } from '../../../src/flash/carry/apply.ts'
import { writeCarry } from '../../../src/flash/carry/capture.ts'
import { checkCarry } from '../../../src/flash/carry/check.ts'
import { carriedInterfaces } from '../../../src/flash/carry/interfaces.ts'
import { IP_SCHEMAS, type IpState, readIpJson } from '../../../src/flash/carry/ip-json.ts'
import { type Carry, carrySchema } from '../../../src/flash/carry/model.ts'
import { askSshd } from '../../../src/flash/carry/ssh-identity.ts'
import { run } from '../../../src/system/run.ts'
import { makeScratch, type Scratch } from '../../../src/system/scratch.ts'
import { LOGIN_KEY, makeHostKey, makeHostRoot, staticInterface, write } from './host-root.ts'
import { asRoot, dhcpClientId, inNamespace, MAC, makeCable, NIC } from './network-namespace.ts'

const TRIES = 20
const PACKAGES = 'openssh-server,ifupdown,iproute2,systemd,procps'

async function makeDebianRoot(suite: string, root: string): Promise<void> {
  const options = ['--mode=root', '--variant=essential', `--include=${PACKAGES}`]
  await run(['mmdebstrap', ...options, suite, root])
}

/** Off-subnet and on-link gateways, a second address alone, an MTU, a metric, both families. */
const HOSTER = [
  `link set ${NIC} mtu 1400`,
  `address add 192.0.2.10/24 dev ${NIC}`,
  `address add 203.0.113.5 peer 203.0.113.1/32 dev ${NIC}`,
  `address add 2001:db8::10/64 dev ${NIC}`,
  `route add default via 198.51.100.1 dev ${NIC} onlink`,
  'route add 10.0.0.0/8 via 192.0.2.1 metric 50 src 192.0.2.10',
  `-6 route add default via 2001:db8:f::1 dev ${NIC} onlink`,
  `-6 route add 2001:db8:9::/48 via fe80::1 dev ${NIC} metric 77`,
]

interface FirstOs {
  readonly carry: Carry
  readonly folder: string
}

/** Captures a host with that network; its carry folder is below `place`. */
async function captureHoster(place: string): Promise<FirstOs> {
  await using cable = await makeCable()
  await using host = await makeHostRoot()
  await makeHostKey(host.path, 'rsa')
  for (const command of HOSTER) await cable.onHost(command)
  const said = await inNamespace(cable.host, 'capture', host.path)
  const { carry } = z.parse(z.object({ carry: carrySchema }), said)
  const ssh = await Promise.all(
    (await readdir(join(host.path, 'etc/ssh'))).map(async (name) => ({
      name,
      bytes: Buffer.from(await readText(join(host.path, 'etc/ssh', name))),
    })),
  )
  const folder = join(place, 'carry')
  const rootShadow = 'root:$y$j9T$salt$hash:19000::::::'
  await writeCarry(folder, { carry, files: { ssh, rootKeys: `${LOGIN_KEY}\n`, rootShadow } })
  return { carry, folder }
}

const readText = async (path: string) => (await run(['cat', path])).stdout

/** Runs a program of the root with its own /run, in a network namespace. */
function inRoot(namespace: string, root: string, script: string, signal?: AbortSignal) {
  const mounts = [
    `mount -t tmpfs none ${root}/run`,
    `mount -t proc none ${root}/proc`,
    // Read-only: without it networkd waits for udev.
    `mount -t sysfs -o ro none ${root}/sys`,
    `mount --bind /dev ${root}/dev`,
    `mkdir ${root}/run/network ${root}/run/systemd`,
  ]
  const all = [...mounts, `exec chroot ${root} ${script}`].join(' && ')
  const inside = ['unshare', '--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', all]
  return run(['ip', 'netns', 'exec', namespace, ...inside], { signal })
}

/** Which route was set first is nothing that matters. */
function interfacesOf(found: unknown): unknown {
  const network = z.object({ interfaces: carrySchema.shape.interfaces })
  const parsed = z.safeParse(network, found)
  if (!parsed.success) return undefined
  const inOrder = (list: readonly unknown[]) => list.map((one) => JSON.stringify(one)).sort()
  return parsed.data.interfaces.map((one) => ({
    ...one,
    addresses: inOrder(one.addresses),
    routes: inOrder(one.routes),
    dnsServers: [],
    dnsDomains: [],
  }))
}

/** What is captured there, once it is what is wanted; the last answer when the time is over. */
async function awaitInterfaces(namespace: string, { interfaces }: Carry): Promise<unknown> {
  const wanted = JSON.stringify(interfacesOf({ interfaces }))
  for (let tries = 1; ; tries += 1) {
    const found = await inNamespace(namespace, 'capture-network', '/nowhere')
    const said = interfacesOf(found)
    if (JSON.stringify(said) === wanted || tries === TRIES) return said ?? found
    await sleep(500)
  }
}

const isLinux = asRoot ? 'as root' : 'as root: left out'

describe.skipIf(!asRoot).each(['bookworm', 'trixie'])(`${isLinux}, in Debian %s`, (suite) => {
  let scratch: Scratch
  let root: string
  let host: FirstOs

  beforeAll(async () => {
    scratch = await makeScratch('carry-root')
    root = join(scratch.path, 'root')
    await makeDebianRoot(suite, root)
    host = await captureHoster(scratch.path)
  })
  afterAll(async () => {
    await scratch?.[Symbol.asyncDispose]()
  })

  const apply = (network: string) => applyCarry({ root, network, ...host })

  test('sshd takes the carry, and what it needed is gone again', async () => {
    await apply('networkd')
    await rm(join(root, 'dev/null'))
    await checkCarry({ root, carry: host.carry })
    expect(await readdir(join(root, 'run'))).not.toContain('sshd')
    expect(await readdir(join(root, 'dev'))).not.toContain('null')
    await run(['mknod', '-m', '666', join(root, 'dev/null'), 'c', '1', '3'])
  })

  test.each([
    ['sshd says no', '/etc/ssh/sshd_config.d/bad.conf', 'NoSuchWord yes\n', 'process'],
    ['root may not', '/etc/ssh/sshd_config.d/bad.conf', 'PermitRootLogin no\n', 'refused'],
    ['keys elsewhere', '/etc/ssh/sshd_config.d/bad.conf', 'AuthorizedKeysFile /x\n', 'refused'],
    ['another name', '/etc/hostname', 'debian\n', 'refused'],
    ['no keys', '/root/.ssh/authorized_keys', '# none\n', 'refused'],
    ['a broken host key', '/etc/ssh/ssh_host_rsa_key', 'nonsense\n', 'refused'],
  ])('not accepted: %s', async (_, path, text, code) => {
    await apply('networkd')
    await write(root, path, text)
    await expect(checkCarry({ root, carry: host.carry })).rejects.toMatchObject({ code })
    await rm(join(root, path))
  })

  test('not accepted: a host key of somebody else', async () => {
    await apply('networkd')
    await makeHostKey(root, 'ecdsa')
    const checking = checkCarry({ root, carry: host.carry })
    await expect(checking).rejects.toThrow('its sshd has another host key SHA256:')
    await apply('networkd')
    await checkCarry({ root, carry: host.carry })
  })

  test('its sshd is asked for the places of keys when it is the first OS', async () => {
    await apply('networkd')
    await mkdir(join(root, 'run/sshd'), { recursive: true })
    const own = join(root, 'etc/ssh/sshd_config.d/own.conf')
    await writeFile(own, 'HostKey /etc/ssh/ssh_host_rsa_key\nAuthorizedKeysFile /etc/keys/%u\n')
    const settings = await askSshd({ root })
    await rm(own)
    expect(settings.hostKeys).toEqual(['/etc/ssh/ssh_host_rsa_key'])
    expect(settings.rootKeyFiles).toEqual(['/etc/keys/root'])
  })

  test('what its ip prints is understood', async () => {
    await using cable = await makeCable()
    for (const command of HOSTER) await cable.onHost(command)
    const ask = async (what: string) => (await inRoot(cable.host, root, `ip -j ${what}`)).stdout
    const rules = '-4 rule show'
    const state: IpState = {
      links: readIpJson(IP_SCHEMAS.links, await ask('-d link show')),
      addresses: readIpJson(IP_SCHEMAS.addresses, await ask('-d address show')),
      routes: {
        inet: readIpJson(IP_SCHEMAS.routes, await ask('-4 -d route show table all')),
        inet6: readIpJson(IP_SCHEMAS.routes, await ask('-6 -d route show table all')),
      },
      rules: { inet: readIpJson(IP_SCHEMAS.rules, await ask(rules)), inet6: [] },
    }
    const interfaces = carriedInterfaces({ state, leases: {}, macOrigins: { [NIC]: 3 } })
    expect(interfacesOf({ interfaces })).toEqual(interfacesOf(host.carry))
  })

  test('networkd brings up what was captured', async () => {
    await apply('networkd')
    await using cable = await makeCable()
    const stop = new AbortController()
    const daemon = inRoot(cable.host, root, '/lib/systemd/systemd-networkd', stop.signal)
    const ended = expect(daemon).rejects.toMatchObject({ code: 'cancelled' })
    const found = await awaitInterfaces(cable.host, host.carry).finally(() => stop.abort())
    await ended
    expect(found).toEqual(interfacesOf(host.carry))
  })

  test.each([
    ['made from a DUID', 'ffb6220feb00020000ab11c5e3a2e7ad1bb5c1'],
    ['made from a UUID', 'ff00000001000400112233445566778899aabbccddeeff'],
    ['the MAC address', `01${MAC.replaceAll(':', '')}`],
  ])('networkd sends the client identifier of before: %s', async (_, dhcp4ClientId) => {
    const one = staticInterface({ mac: MAC, macIsPermanent: false, dhcp4: true, dhcp4ClientId })
    const carry = { ...host.carry, interfaces: [{ ...one, addresses: [], routes: [] }] }
    await applyCarry({ root, network: 'networkd', carry, folder: host.folder })
    await using cable = await makeCable()
    const stop = new AbortController()
    const sent = dhcpClientId(cable.router)
    const daemon = inRoot(cable.host, root, '/lib/systemd/systemd-networkd', stop.signal)
    const ended = expect(daemon).rejects.toMatchObject({ code: 'cancelled' })
    expect(await sent.finally(() => stop.abort())).toBe(dhcp4ClientId)
    await ended
  })

  test('ifupdown brings up what was captured', async () => {
    await apply('ifupdown')
    await using cable = await makeCable()
    await inRoot(cable.host, root, '/sbin/ifup -a')
    const found = await awaitInterfaces(cable.host, host.carry)
    expect(found).toEqual(interfacesOf(host.carry))
  })
})
