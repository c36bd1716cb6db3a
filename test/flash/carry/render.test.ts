import { expect, test } from 'vitest'
import { renderIfupdown } from '../../../src/flash/carry/render-ifupdown.ts'
import { renderNetworkd } from '../../../src/flash/carry/render-networkd.ts'
import { staticCarry, staticInterface } from './host-root.ts'

const hosters = staticInterface({
  mtu: 1_400,
  addresses: [
    { family: 'inet', cidr: '192.0.2.10/24' },
    { family: 'inet', cidr: '203.0.113.5/32' },
    { family: 'inet6', cidr: '2001:db8::10/64' },
  ],
  routes: [
    { family: 'inet', destination: '203.0.113.1/32', onLink: false, source: '203.0.113.5' },
    { family: 'inet', destination: 'default', gateway: '198.51.100.1', onLink: true },
    { family: 'inet6', destination: 'default', gateway: '2001:db8:f::1', onLink: true, metric: 9 },
    { family: 'inet6', destination: '2001:db8:9::/48', gateway: 'fe80::1', onLink: false },
  ],
})

const leased = staticInterface({
  name: 'ens4',
  mac: '52:54:00:00:00:02',
  macIsPermanent: false,
  dhcp4: true,
  dhcp4ClientId: 'ffb6220feb00020000ab11c5e3a2e7ad1bb5c1',
  dhcp6: true,
  acceptRouterAdvertisements: true,
  addresses: [],
  routes: [],
  dnsServers: ['fe80::53'],
})

const both = staticCarry({ interfaces: [hosters, leased] })

test('networkd: static, off-subnet gateways of both families', () => {
  expect(renderNetworkd(both)[0]).toMatchInlineSnapshot(`
    {
      "path": "/etc/systemd/network/05-osflash-00.network",
      "text": "# ens3 as osflash found it; osflash wrote this file.

    [Match]
    PermanentMACAddress=52:54:00:12:34:56
    Type=ether

    [Link]
    MTUBytes=1400

    [Network]
    DHCP=no
    IPv6AcceptRA=no
    DNS=9.9.9.9
    DNS=2620:fe::fe
    Domains=example.net

    [Address]
    Address=192.0.2.10/24

    [Address]
    Address=203.0.113.5/32

    [Address]
    Address=2001:db8::10/64

    [Route]
    Destination=203.0.113.1/32
    Scope=link
    PreferredSource=203.0.113.5

    [Route]
    Destination=0.0.0.0/0
    Gateway=198.51.100.1
    GatewayOnLink=yes

    [Route]
    Destination=::/0
    Gateway=2001:db8:f::1
    GatewayOnLink=yes
    Metric=9

    [Route]
    Destination=2001:db8:9::/48
    Gateway=fe80::1
    ",
    }
  `)
})

test('networkd: leased, with the client identifier of before', () => {
  expect(renderNetworkd(both)[1]?.text).toMatchInlineSnapshot(`
    "# ens4 as osflash found it; osflash wrote this file.

    [Match]
    MACAddress=52:54:00:00:00:02
    Type=ether

    [Network]
    DHCP=yes
    IPv6AcceptRA=yes
    DNS=fe80::53
    DNS=9.9.9.9
    DNS=2620:fe::fe
    Domains=example.net

    [DHCPv4]
    ClientIdentifier=duid
    IAID=3055685611
    DUIDType=vendor
    DUIDRawData=00:00:ab:11:c5:e3:a2:e7:ad:1b:b5:c1
    RouteMetric=512

    [DHCPv6]
    IAID=3055685611
    DUIDType=vendor
    DUIDRawData=00:00:ab:11:c5:e3:a2:e7:ad:1b:b5:c1

    [IPv6AcceptRA]
    RouteMetric=512
    "
  `)
})

test('ifupdown: the same two', () => {
  expect(renderIfupdown(both)).toMatchInlineSnapshot(`
    [
      {
        "path": "/etc/network/interfaces",
        "text": "# The network as osflash found it; osflash wrote this file.
    auto lo
    iface lo inet loopback

    # ens3
    auto mac/52:54:00:12:34:56=osflash0
    iface osflash0 inet static
        address 192.0.2.10/24
        pre-up ip link set dev $IFACE mtu 1400
        dns-nameservers 9.9.9.9 2620:fe::fe
        dns-search example.net
    iface osflash0 inet static
        address 203.0.113.5/32
    iface osflash0 inet6 static
        address 2001:db8::10/64
        accept_ra 0
    iface osflash0 inet manual
        up ip -4 route replace 203.0.113.1/32 dev $IFACE src 203.0.113.5
        up ip -4 route replace default via 198.51.100.1 dev $IFACE onlink
        up ip -6 route replace default via 2001:db8:f::1 dev $IFACE onlink metric 9
        up ip -6 route replace 2001:db8:9::/48 via fe80::1 dev $IFACE

    # ens4
    auto mac/52:54:00:00:00:02=osflash1
    iface osflash1 inet dhcp
        dns-nameservers fe80::53 9.9.9.9 2620:fe::fe
        dns-search example.net
    iface osflash1 inet6 dhcp
        accept_ra 1
    ",
      },
    ]
  `)
})

test.each([
  ['hardware address', '01525400000002', 'ClientIdentifier=mac'],
  ['unknown kind of DUID', 'ff0000000100090001', 'ClientIdentifier=mac'],
  ['DUID from a UUID', 'ff000000010004aabb', 'IAID=1\nDUIDType=uuid\nDUIDRawData=aa:bb'],
])('networkd: client identifier from a %s', (_, dhcp4ClientId, line) => {
  const one = staticInterface({ dhcp4: true, dhcp4ClientId })
  expect(renderNetworkd(staticCarry({ interfaces: [one] }))[0]?.text).toContain(line)
})

test('DHCPv6 without advertisements asks by itself', () => {
  const one = staticInterface({ dhcp6: true })
  const [file] = renderNetworkd(staticCarry({ interfaces: [one] }))
  expect(file?.text).toContain('DHCP=ipv6\nIPv6AcceptRA=no\n')
  expect(file?.text).toContain('WithoutRA=solicit\n')
})

test.each([
  ['none known', {}, 512],
  ['the strongest', { dhcp4Metric: 0 }, 1],
  ['one of the administrator', { dhcp4Metric: 100 }, 100],
  ["networkd's own", { dhcp4Metric: 1_024 }, 1_023],
  ['beside a static one', { dhcp4Metric: 1_024, hasStatic: true }, 1_024],
])('networkd: metric of a leased default route, %s', (_, given, metric) => {
  const { hasStatic = false, ...more } = { hasStatic: false, ...given }
  const one = staticInterface({ dhcp4: true, routes: [], ...more })
  const other = staticInterface({ mac: '52:54:00:00:00:03' })
  const carry = staticCarry({ interfaces: hasStatic ? [one, other] : [one] })
  expect(renderNetworkd(carry)[0]?.text).toContain(`\nRouteMetric=${metric}\n`)
})

test('a lease without a default route, and a deprecated address', () => {
  const addresses = [
    { family: 'inet' as const, cidr: '192.0.2.9/24', isDeprecated: true as const },
    { family: 'inet6' as const, cidr: '2001:db8::9/64', isDeprecated: true as const },
  ]
  const one = staticInterface({ dhcp4: true, dhcp4NoGateway: true, addresses, routes: [] })
  const carry = staticCarry({ interfaces: [one] })
  const networkd = renderNetworkd(carry)[0]?.text ?? ''
  expect(networkd).toContain('UseGateway=no\n')
  expect(networkd).toContain('Address=192.0.2.9/24\nPreferredLifetime=0\n')
  const ifupdown = renderIfupdown(carry)[0]?.text ?? ''
  expect(ifupdown).toContain('inet dhcp\n    up ip -4 route del default dev $IFACE || true\n')
  expect(ifupdown).toContain('accept_ra 0\n    preferred-lifetime 0\n')
  const metric = staticInterface({ dhcp4: true, dhcp4Metric: 100, addresses: [], routes: [] })
  const text = renderIfupdown(staticCarry({ interfaces: [metric] }))[0]?.text
  expect(text).toContain('inet dhcp\n    metric 100\n')
})

test('name servers of the host go to the interface with the default route', () => {
  const inner = staticInterface({ mac: '52:54:00:00:00:03', routes: [] })
  const texts = renderNetworkd(staticCarry({ interfaces: [inner, staticInterface()] }))
  expect(texts.map(({ text }) => text.includes('DNS=9.9.9.9'))).toEqual([false, true])
  const alone = renderNetworkd(staticCarry({ interfaces: [inner, inner] }))
  expect(alone.map(({ text }) => text.includes('DNS=9.9.9.9'))).toContain(true)
})
