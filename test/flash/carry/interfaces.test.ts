import { expect, test } from 'vitest'
import { carriedInterfaces, withCarrier } from '../../../src/flash/carry/interfaces.ts'
import { address4, address6, factsOf, link, MAC, route } from './ip-facts.ts'

const only = (facts: ReturnType<typeof factsOf>) => {
  const [one, ...more] = carriedInterfaces(facts)
  expect(more).toEqual([])
  return one
}

test('a static host keeps every address and route of both families', () => {
  const found = only(
    factsOf({
      links: [link({ mtu: 9_000 })],
      addresses: {
        ens3: [
          address4('192.0.2.10'),
          address4('198.51.100.7', { prefixlen: 32 }),
          address6('2001:db8::10'),
          address6('fe80::1234', { scope: 'link' }),
        ],
      },
      routes4: [
        route('default', { gateway: '192.0.2.1' }),
        route('192.0.2.0/24', { protocol: 'kernel' }),
        route('10.0.0.0/8', { gateway: '192.0.2.2', metric: 50, prefsrc: '192.0.2.10' }),
        route('192.0.2.10', { type: 'local', table: 'local', protocol: 'kernel' }),
      ],
      routes6: [
        route('default', { gateway: 'fe80::1', metric: 1_024 }),
        route('2001:db8::/64', { protocol: 'kernel', metric: 256 }),
        route('ff00::/8', { type: 'multicast', table: 'local', protocol: 'kernel' }),
      ],
    }),
  )
  expect(found).toEqual({
    kind: 'ethernet',
    name: 'ens3',
    mac: MAC,
    macIsPermanent: true,
    mtu: 9_000,
    dhcp4: false,
    dhcp6: false,
    acceptRouterAdvertisements: false,
    addresses: [
      { family: 'inet', cidr: '192.0.2.10/24' },
      { family: 'inet', cidr: '198.51.100.7/32' },
      { family: 'inet6', cidr: '2001:db8::10/64' },
    ],
    routes: [
      { family: 'inet', destination: 'default', gateway: '192.0.2.1', onLink: false },
      {
        family: 'inet',
        destination: '10.0.0.0/8',
        gateway: '192.0.2.2',
        onLink: false,
        metric: 50,
        source: '192.0.2.10',
      },
      {
        family: 'inet6',
        destination: 'default',
        gateway: 'fe80::1',
        onLink: false,
        metric: 1_024,
      },
    ],
    dnsServers: [],
    dnsDomains: [],
  })
})

test('what has a lifetime stays dynamic, and so do its routes', () => {
  const found = only(
    factsOf({
      addresses: {
        ens3: [
          address4('10.0.2.15', { dynamic: true }),
          address6('2001:db8::5054:ff:fe12:3456', { dynamic: true }),
          address6('2001:db8::9', { dynamic: true, temporary: true }),
          address6('2001:db8::7', { dynamic: true, prefixlen: 128 }),
        ],
      },
      routes4: [
        route('default', { gateway: '10.0.2.2', protocol: 'dhcp', metric: 1_024 }),
        route('10.0.2.2', { protocol: 'dhcp', metric: 1_024 }),
      ],
      routes6: [route('default', { gateway: 'fe80::2', protocol: 'ra' })],
    }),
  )
  expect(found).toMatchObject({
    dhcp4: true,
    dhcp6: true,
    acceptRouterAdvertisements: true,
    addresses: [],
    routes: [],
  })
})

test('a lease makes an address for ever dynamic, and keeps its client identifier', () => {
  const leases = {
    ens3: { address: '192.0.2.10', routers: ['192.0.2.1'], clientId: 'ff00112233' },
  }
  const routes4 = [route('default', { gateway: '192.0.2.1', protocol: 'boot' })]
  const found = only(factsOf({ leases, routes4 }))
  expect(found).toMatchObject({
    dhcp4: true,
    dhcp4ClientId: 'ff00112233',
    addresses: [],
    routes: [],
  })
})

test('a lease file that outlived its lease makes nothing dynamic', () => {
  const found = only(factsOf({ leases: { ens3: { routers: [] } } }))
  expect(found).toMatchObject({ dhcp4: false, addresses: [{ cidr: '192.0.2.10/24' }] })
})

test('a lease file that outlived its lease takes no default route away', () => {
  const leases = { ens3: { routers: ['192.0.2.1'] } }
  const routes4 = [route('default', { gateway: '192.0.2.1' })]
  const found = only(factsOf({ leases, routes4 }))
  expect(found).toMatchObject({ dhcp4: false, routes: [{ gateway: '192.0.2.1' }] })
  expect(found).not.toHaveProperty('dhcp4NoGateway')
})

test('two leased interfaces keep who of them leads out', () => {
  const [first, second, third] = carriedInterfaces(
    factsOf({
      links: ['ens3', 'ens4', 'ens5'].map((ifname, place) =>
        link({ ifname, ifindex: 2 + place, address: `52:54:00:00:00:0${place}` }),
      ),
      addresses: {
        ens3: [address4('10.0.2.15', { dynamic: true })],
        ens4: [address4('10.0.3.15', { dynamic: true })],
        ens5: [address4('10.0.4.15', { dynamic: true })],
      },
      routes4: [
        route('default', { gateway: '10.0.2.2', protocol: 'dhcp', metric: 200 }),
        route('default', { gateway: '10.0.3.2', protocol: 'dhcp', metric: 100, dev: 'ens4' }),
      ],
      routes6: [
        route('default', { gateway: 'fe80::2', protocol: 'ra', metric: 1_024, dev: 'ens5' }),
      ],
      macOrigins: {},
    }),
  )
  expect(first).toMatchObject({ dhcp4Metric: 200 })
  expect(second).toMatchObject({ dhcp4Metric: 100 })
  expect(third).toMatchObject({ dhcp4NoGateway: true, advertisedMetric: 1_024 })
  expect([first, second].every((one) => one?.dhcp4NoGateway === undefined)).toBe(true)
})

test('a default route of dhclient has no metric, which is the strongest', () => {
  const leases = { ens3: { routers: ['192.0.2.1'] } }
  const addresses = { ens3: [address4('192.0.2.10', { dynamic: true })] }
  const routes4 = [route('default', { gateway: '192.0.2.1', protocol: 'boot' })]
  expect(only(factsOf({ leases, addresses, routes4 }))).toMatchObject({
    dhcp4: true,
    dhcp4Metric: 0,
    routes: [],
  })
})

test('a deprecated address stays one', () => {
  const addresses = { ens3: [address4('192.0.2.10'), address4('192.0.2.9', { deprecated: true })] }
  expect(only(factsOf({ addresses }))?.addresses).toEqual([
    { family: 'inet', cidr: '192.0.2.10/24' },
    { family: 'inet', cidr: '192.0.2.9/24', isDeprecated: true },
  ])
})

test.each([
  ['flag of the kernel', route('default', { gateway: '192.0.2.1', flags: ['onlink'] }), true],
  ['outside of every prefix', route('default', { gateway: '203.0.113.1' }), true],
  ['inside a prefix', route('default', { gateway: '192.0.2.1' }), false],
  ['no gateway at all', route('203.0.113.1'), false],
])('on-link: %s', (_, one, onLink) => {
  expect(only(factsOf({ routes4: [one] }))?.routes[0]?.onLink).toBe(onLink)
})

test('an IPv6 gateway outside of every prefix is on-link, a link-local one is not', () => {
  const routes6 = [
    route('default', { gateway: '2001:db8:ffff::1' }),
    route('2001:db8:5::/48', { gateway: 'fe80::1' }),
  ]
  const found = only(factsOf({ routes6 }))
  expect(found?.routes.map(({ onLink }) => onLink)).toEqual([true, false])
})

test('a point-to-point address becomes a single one and a route to the other end', () => {
  const pair = address4('203.0.113.5', { address: '203.0.113.1', prefixlen: 32 })
  const found = only(
    factsOf({
      addresses: { ens3: [pair] },
      routes4: [route('default', { gateway: '203.0.113.1' })],
    }),
  )
  expect(found?.addresses).toEqual([{ family: 'inet', cidr: '203.0.113.5/32' }])
  expect(found?.routes).toEqual([
    { family: 'inet', destination: '203.0.113.1/32', onLink: false, source: '203.0.113.5' },
    { family: 'inet', destination: 'default', gateway: '203.0.113.1', onLink: true },
  ])
})

test('an address whose prefix nobody routes stays alone', () => {
  const bare = address4('192.0.2.10', { noprefixroute: true })
  const routed = [route('192.0.2.0/24', { protocol: 'kernel', metric: 100 })]
  expect(only(factsOf({ addresses: { ens3: [bare] } }))?.addresses[0]?.cidr).toBe('192.0.2.10/32')
  const found = only(factsOf({ addresses: { ens3: [bare] }, routes4: routed }))
  expect(found?.addresses[0]?.cidr).toBe('192.0.2.10/24')
})

test('interfaces without configuration and virtual ones that are down are left out', () => {
  const docker = link({
    ifindex: 5,
    ifname: 'docker0',
    operstate: 'DOWN',
    address: '02:42:00:00:00:01',
    linkinfo: { info_kind: 'bridge' },
  })
  const facts = factsOf({
    links: [link(), link({ ifname: 'ens4', address: '52:54:00:00:00:02' }), docker],
    addresses: { ens3: [address4('192.0.2.10')], docker0: [address4('172.17.0.1')] },
    routes4: [route('172.17.0.0/16', { dev: 'docker0', protocol: 'kernel' })],
  })
  expect(carriedInterfaces(facts).map(({ name }) => name)).toEqual(['ens3'])
})

test('a MAC address that no driver vouches for is matched as the current one', () => {
  expect(only(factsOf({ macOrigins: { ens3: 3 } }))).toMatchObject({ macIsPermanent: false })
  const upper = link({ address: MAC.toUpperCase() })
  expect(only(factsOf({ links: [upper] }))).toMatchObject({ mac: MAC, macIsPermanent: true })
})

const bond = link({ ifname: 'bond0', linkinfo: { info_kind: 'bond' } })
const on = (name: string) => ({ [name]: [address4('192.0.2.10')] })
const throughOther = { gateway: '192.0.2.1' }

test.each([
  ['bond0, a link of kind bond', { links: [bond], addresses: on('bond0') }],
  [
    'ens3.7, a link of kind vlan',
    {
      links: [link({ ifname: 'ens3.7', linkinfo: { info_kind: 'vlan' } })],
      addresses: on('ens3.7'),
    },
  ],
  [
    'tun0, a link of kind tun',
    {
      links: [link({ ifname: 'tun0', link_type: 'none', linkinfo: { info_kind: 'tun' } })],
      addresses: on('tun0'),
    },
  ],
  ['ens3 as a member of br0', { links: [link({ master: 'br0' })] }],
  ['the address 198.51.100.9 of lo', { addresses: { lo: [address4('198.51.100.9')] } }],
  ['the policy rule 100', { moreRules: [{ priority: 100, src: '10.0.0.1', table: '7' }] }],
  ['table 7', { routes4: [route('default', { ...throughOther, table: '7' })] }],
  ['several next hops', { routes4: [route('default', { nexthops: [{}, {}] })] }],
  ['blackhole', { routes4: [{ type: 'blackhole', dst: '10.7.0.0/16', table: 'main' }] }],
  ['the other family', { routes4: [route('10.0.0.0/8', { via: { family: 'inet6' } })] }],
  ['other metrics', { routes4: [route('10.0.0.0/8', { metrics: [{ mtu: 1400 }] })] }],
  ['without an interface', { routes4: [{ type: 'unicast', dst: 'default', table: 'main' }] }],
  ['in place of its own', { links: [link({ permaddr: '52:54:00:00:00:99' })] }],
  ['new at every boot', { macOrigins: { ens3: 1 } }],
  [
    'ens3 and ens4, which share the MAC',
    {
      links: [link(), link({ ifname: 'ens4' })],
      addresses: { ens3: [address4('192.0.2.10')], ens4: [address4('192.0.2.11')] },
    },
  ],
  ['no Ethernet interface has an address', { addresses: {} }],
])('refused by name: %s', (item, host) => {
  let thrown: unknown
  try {
    carriedInterfaces(factsOf(host))
  } catch (cause) {
    thrown = cause
  }
  expect(thrown).toMatchObject({ code: 'refused' })
  expect(String(thrown)).toContain(item)
})

test('a carrier is what the driver says, not what the operator wants', () => {
  const unplugged = link({ ifname: 'ens4', flags: ['NO-CARRIER', 'BROADCAST', 'UP'] })
  const { state } = factsOf({ links: [link(), unplugged] })
  expect([...withCarrier(state)]).toEqual(['lo', 'ens3'])
})
