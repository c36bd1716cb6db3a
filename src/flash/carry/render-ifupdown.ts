/**
 * The carried interfaces as /etc/network/interfaces (interfaces(5)).
 *
 * 1. `auto mac/MAC=osflash0` takes whatever interface has this MAC address and brings it up as the
 *    logical interface osflash0: nothing is renamed, so no udev rule has to win a race.
 *    (Tried with ifupdown of Debian 12 and 13.)
 * 2. One stanza an address; routes come in the last one, when all addresses are there, through
 *    `ip`, because `gateway` can say neither on-link (IPv4) nor source.
 * 3. Router advertisements are allowed or forbidden in so many words.
 * 4. The file is the whole configuration: it includes no other.
 *
 * Pure. Not promised: the DHCP client identifier; it is the client's own setting.
 */
import { interfaceDns } from './carried-dns.ts'
import type { Carry, CarryInterface, CarryRoute } from './model.ts'
import { OURS, type RenderedFile } from './render-networkd.ts'

export const IFUPDOWN_FILE = '/etc/network/interfaces'

/** The file for all carried interfaces. */
export function renderIfupdown(carry: Carry): RenderedFile[] {
  const title = `# The network as osflash found it; ${OURS}.\n`
  const loopback = 'auto lo\niface lo inet loopback\n'
  const stanzas = carry.interfaces.map((one, index) => interfaceText(carry, one, index))
  return [{ path: IFUPDOWN_FILE, text: [title + loopback, ...stanzas].join('\n') }]
}

interface Stanza {
  readonly how: string
  readonly lines: readonly string[]
}

function interfaceText(carry: Carry, one: CarryInterface, index: number): string {
  const name = `osflash${index}`
  const stanzas = [...stanzas4(one), ...stanzas6(one), ...routeStanzas(one)]
  const [first, ...more] = stanzas
  const withLink = first === undefined ? [] : [addLines(first, linkLines(carry, one)), ...more]
  const bodies = withLink.map(({ how, lines }) =>
    [`iface ${name} ${how}`, ...lines.map((line) => `    ${line}`)].join('\n'),
  )
  return `# ${one.name}\nauto mac/${one.mac}=${name}\n${bodies.join('\n')}\n`
}

const addLines = ({ how, lines }: Stanza, more: readonly string[]): Stanza => ({
  how,
  lines: [...lines, ...more],
})

function linkLines(carry: Carry, one: CarryInterface): string[] {
  const { servers, domains } = interfaceDns(carry, one)
  return [
    ...(one.mtu === undefined ? [] : [`pre-up ip link set dev $IFACE mtu ${one.mtu}`]),
    ...(servers.length === 0 ? [] : [`dns-nameservers ${servers.join(' ')}`]),
    ...(domains.length === 0 ? [] : [`dns-search ${domains.join(' ')}`]),
  ]
}

function stanzas4(one: CarryInterface): Stanza[] {
  const { dhcp4, dhcp4Metric, dhcp4NoGateway, addresses } = one
  const fixed = addresses
    .filter(({ family }) => family === 'inet')
    .map(({ cidr }): Stanza => ({ how: 'inet static', lines: [`address ${cidr}`] }))
  const lines = [
    ...(dhcp4Metric === undefined || dhcp4Metric === 0 ? [] : [`metric ${dhcp4Metric}`]),
    // Before the routes of the last stanza, which may name the same gateway.
    ...(dhcp4NoGateway === true ? ['up ip -4 route del default dev $IFACE || true'] : []),
  ]
  const leased = dhcp4 ? [{ how: 'inet dhcp', lines }] : []
  const none = fixed.length === 0 && !dhcp4 ? [{ how: 'inet manual', lines: [] }] : []
  return [...fixed, ...leased, ...none]
}

function stanzas6(one: CarryInterface): Stanza[] {
  const { dhcp6, acceptRouterAdvertisements: accepts, addresses } = one
  const accept = `accept_ra ${accepts ? 1 : 0}`
  const fixed = addresses
    .filter(({ family }) => family === 'inet6')
    .map(({ cidr, isDeprecated }) => ({
      how: 'inet6 static',
      lines: [`address ${cidr}`, accept, ...(isDeprecated ? ['preferred-lifetime 0'] : [])],
    }))
  if (dhcp6) return [...fixed, { how: 'inet6 dhcp', lines: [accept] }]
  if (accepts) return [...fixed, { how: 'inet6 auto', lines: [] }]
  return fixed.length > 0 ? fixed : [{ how: 'inet6 manual', lines: [accept] }]
}

function routeStanzas({ routes }: CarryInterface): Stanza[] {
  if (routes.length === 0) return []
  return [{ how: 'inet manual', lines: routes.map((route) => `up ${routeCommand(route)}`) }]
}

function routeCommand(route: CarryRoute): string {
  const { family, destination, gateway, onLink, metric, source } = route
  return [
    `ip -${family === 'inet' ? 4 : 6} route replace ${destination}`,
    ...(gateway === undefined ? [] : [`via ${gateway}`]),
    'dev $IFACE',
    ...(onLink && gateway !== undefined ? ['onlink'] : []),
    ...(metric === undefined ? [] : [`metric ${metric}`]),
    ...(source === undefined ? [] : [`src ${source}`]),
  ].join(' ')
}
