import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { makeScratch } from '../../../src/system/scratch.ts'
import { fingerprint, makeHostRoot, staticCarry, staticInterface, write } from './host-root.ts'
import { asRoot, inNamespace, MAC, makeCable, NIC } from './network-namespace.ts'

describe.skipIf(!asRoot)('as root, in a network namespace', () => {
  test('a host as a whole: network, name, keys, password', async () => {
    await using cable = await makeCable()
    await using host = await makeHostRoot()
    await cable.onRouter('address add 192.0.2.1/24 dev lan')
    await cable.onHost(`address add 192.0.2.10/24 dev ${NIC}`)
    await cable.onHost(`address add 2001:db8::10/64 dev ${NIC}`)
    await cable.onHost('route add default via 192.0.2.1')
    await cable.onHost(`route add 10.0.0.0/8 via 203.0.113.1 dev ${NIC} onlink`)
    await cable.onHost(`-6 route add default via 2001:db8::99 dev ${NIC}`)
    expect(await inNamespace(cable.host, 'capture', host.path)).toEqual({
      carry: {
        format: 'osflash-carry/1',
        hostname: 'web1.example.net',
        interfaces: [
          {
            kind: 'ethernet',
            name: NIC,
            mac: MAC,
            macIsPermanent: false,
            dhcp4: false,
            dhcp6: false,
            acceptRouterAdvertisements: false,
            addresses: [
              { family: 'inet', cidr: '192.0.2.10/24' },
              { family: 'inet6', cidr: '2001:db8::10/64' },
            ],
            routes: [
              { family: 'inet', destination: 'default', gateway: '192.0.2.1', onLink: false },
              {
                family: 'inet',
                destination: '10.0.0.0/8',
                gateway: '203.0.113.1',
                onLink: true,
              },
              {
                family: 'inet6',
                destination: 'default',
                gateway: '2001:db8::99',
                onLink: false,
                metric: 1_024,
              },
            ],
            dnsServers: [],
            dnsDomains: [],
          },
        ],
        dnsServers: ['9.9.9.9'],
        dnsDomains: ['example.net'],
        // 2001:db8::99 is nobody: only what answered is asked for later.
        reach: { gateways: ['192.0.2.1'], addresses: ['192.0.2.10', '2001:db8::10'] },
        hostKeys: [await fingerprint(join(host.path, 'etc/ssh/ssh_host_ed25519_key.pub'))],
        rootKeys: 1,
        hasRootPassword: true,
      },
      notes: [expect.stringContaining('sshd could not be asked')],
    })
  })

  test('dynamic addresses, a link-local gateway and name server', async () => {
    await using cable = await makeCable()
    await using host = await makeHostRoot()
    await write(host.path, '/etc/resolv.conf', `nameserver fe80::53%${NIC}\nnameserver ::1\n`)
    await rm(join(host.path, 'run'), { recursive: true })
    await cable.onRouter('address add fe80::1/64 dev lan')
    await cable.onHost(`address add 10.0.2.15/24 dev ${NIC} valid_lft 900 preferred_lft 900`)
    await cable.onHost('route add default via 10.0.2.2 proto dhcp metric 1024')
    await cable.onHost(`-6 route add default via fe80::1 dev ${NIC} metric 7`)
    expect(await inNamespace(cable.host, 'capture-network', host.path)).toMatchObject({
      interfaces: [
        {
          dhcp4: true,
          addresses: [],
          routes: [{ destination: 'default', gateway: 'fe80::1', onLink: false, metric: 7 }],
          dnsServers: ['fe80::53'],
        },
      ],
      dnsServers: [],
      reach: { gateways: ['fe80::1'], addresses: ['10.0.2.15'] },
    })
  })

  test('a bridge with an address is refused by name', async () => {
    await using cable = await makeCable()
    await cable.onHost('link add br0 type bridge')
    await cable.onHost(`link set ${NIC} master br0`)
    await cable.onHost('link set br0 up')
    await cable.onHost('address add 192.0.2.10/24 dev br0')
    expect(await inNamespace(cable.host, 'capture-network', '/nowhere')).toEqual({
      code: 'refused',
      message:
        'carrying the network: the interface br0, a link of kind bridge cannot be carried yet',
    })
  })

  test('a lease of networkd, and servers that only the stub knows', async () => {
    await using cable = await makeCable()
    await using host = await makeHostRoot()
    await cable.onHost(`address add 192.0.2.10/24 dev ${NIC}`)
    await cable.onHost('route add default via 192.0.2.1 proto static')
    await rm(join(host.path, 'run/systemd/resolve'), { recursive: true })
    const lease = 'ADDRESS=192.0.2.10\nROUTER=192.0.2.1\nCLIENTID=0102005e000007\n'
    const index = await cable.indexOf(NIC)
    await write(host.path, `/run/systemd/netif/leases/${index}`, lease)
    const said = await inNamespace(cable.host, 'capture', host.path)
    expect(said).toMatchObject({
      carry: {
        interfaces: [{ dhcp4: true, dhcp4ClientId: '0102005e000007', addresses: [], routes: [] }],
        dnsServers: [],
        reach: { gateways: [], addresses: ['192.0.2.10'] },
      },
      notes: expect.arrayContaining(['no name server is known but the host itself']),
    })
  })

  test.each([
    ['no host key', 'rm', '/etc/ssh/ssh_host_ed25519_key', 'this host has none'],
    ['no hostname', 'name', '/etc/hostname', '"not a name" is none'],
  ])('refused: %s', async (_, how, path, why) => {
    await using cable = await makeCable()
    await using host = await makeHostRoot()
    await cable.onHost(`address add 192.0.2.10/24 dev ${NIC}`)
    if (how === 'rm') await rm(join(host.path, path))
    else await write(host.path, path, 'not a name\n')
    const said = await inNamespace(cable.host, 'capture', host.path)
    expect(said).toMatchObject({ code: 'refused', message: expect.stringContaining(why) })
  })

  test('the gate knows interfaces by MAC, and link-local gateways behind them', async () => {
    await using cable = await makeCable()
    await using scratch = await makeScratch('gate')
    await cable.onHost(`link set ${NIC} down`)
    await cable.onHost(`link set ${NIC} name eno1`)
    await cable.onHost('link set eno1 up')
    await cable.onHost('address add 192.0.2.10/24 dev eno1')
    await cable.onRouter('address add fe80::1/64 dev lan')
    await cable.onHost('-6 route add default via fe80::1 dev eno1')
    const reach = { gateways: ['fe80::1'], addresses: ['192.0.2.10'] }
    const gateAt = async (mac: string) => {
      const path = join(scratch.path, 'carry.json')
      const interfaces = [staticInterface({ mac })]
      await writeFile(path, JSON.stringify(staticCarry({ reach, interfaces })))
      return inNamespace(cable.host, 'reachable', path, '5')
    }
    expect(await gateAt(MAC)).toBe('reachable')
    expect(await gateAt('52:54:00:00:00:99')).toMatchObject({ code: 'network' })
  })

  test('the gate: open when addresses and gateways are there, closed when one is not', async () => {
    await using cable = await makeCable()
    await using scratch = await makeScratch('gate')
    const path = join(scratch.path, 'carry.json')
    await writeFile(path, JSON.stringify(staticCarry()))
    await cable.onHost(`address add 192.0.2.10/24 dev ${NIC}`)
    expect(await inNamespace(cable.host, 'reachable', path, '0')).toEqual({
      code: 'network',
      message: expect.stringMatching(
        /: 2001:db8::10 is on no interface, there is no default route for IPv4, 192\.0\.2\.1 does/,
      ),
    })
    const opened = inNamespace(cable.host, 'reachable', path, '60')
    await cable.onHost(`address add 2001:db8::10/64 dev ${NIC}`)
    await cable.onRouter('address add 192.0.2.1/24 dev lan')
    await cable.onHost(`route add default via 192.0.2.1 dev ${NIC}`)
    expect(await opened).toBe('reachable')
  })

  test('the gate is closed where the gateway answers and no route leads to it', async () => {
    await using cable = await makeCable()
    await using scratch = await makeScratch('gate')
    const path = join(scratch.path, 'carry.json')
    const reach = { gateways: ['192.0.2.1'], addresses: ['192.0.2.10'] }
    await writeFile(path, JSON.stringify(staticCarry({ reach })))
    await cable.onHost(`address add 192.0.2.10/24 dev ${NIC}`)
    await cable.onRouter('address add 192.0.2.1/24 dev lan')
    expect(await inNamespace(cable.host, 'reachable', path, '5')).toEqual({
      code: 'network',
      message: 'reaching what the host reached: there is no default route for IPv4',
    })
  })
})
