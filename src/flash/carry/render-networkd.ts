/**
 * The carried interfaces as systemd-networkd's files (systemd.network(5)).
 *
 * 1. One file an interface, found by its permanent MAC address; its name sorts before those that
 *    images bring, and the first that matches counts.
 * 2. Everything that networkd would decide by itself is written out: DHCP, router advertisements.
 * 3. A DHCP client identifier that was made from a DUID is given again as it was: the new system's
 *    own would follow from another machine-id.
 * 4. Default routes from DHCP and advertisements keep their metrics, so that the same interface is
 *    used. Where no static one competes, they get a smaller one than networkd's 1024, so that an
 *    interface that the image configures by itself does not take the default route.
 *
 * Pure.
 */
import { interfaceDns } from './carried-dns.ts'
import type { Carry, CarryInterface, CarryRoute } from './model.ts'

/** A configuration file, absolute in the new system. */
export interface RenderedFile {
  readonly path: string
  readonly text: string
}

/** Stands in the first line of each file; what has it is no file of the image. */
export const OURS = 'osflash wrote this file'
export const NETWORKD_FOLDER = '/etc/systemd/network'
/** Names below this sort before ours. */
export const NETWORKD_PREFIX = '05-osflash-'

/** Where none is known. */
const DYNAMIC_METRIC = 512
const BELOW_NETWORKD = 1023
/** RFC 8415 section 11; networkd knows no others by name. */
const DUID_TYPES: Readonly<Record<string, string>> = {
  '0001': 'link-layer-time',
  '0002': 'vendor',
  '0003': 'link-layer',
  '0004': 'uuid',
}

type Setting = readonly [name: string, value: string | number | undefined]

/** One `.network` file for each carried interface. */
export function renderNetworkd(carry: Carry): RenderedFile[] {
  return carry.interfaces.map((one, index) => ({
    path: `${NETWORKD_FOLDER}/${NETWORKD_PREFIX}${String(index).padStart(2, '0')}.network`,
    text: interfaceText(carry, one),
  }))
}

function interfaceText(carry: Carry, one: CarryInterface): string {
  const sections = [
    section('Match', [
      [one.macIsPermanent ? 'PermanentMACAddress' : 'MACAddress', one.mac],
      // A VLAN or a bridge above has the same MAC.
      ['Type', 'ether'],
    ]),
    one.mtu === undefined ? '' : section('Link', [['MTUBytes', one.mtu]]),
    networkSection(carry, one),
    ...one.addresses.map(addressSection),
    ...one.routes.map(routeSection),
    ...dhcpSections(carry, one),
  ]
  const title = `# ${one.name} as osflash found it; ${OURS}.\n`
  return [title, ...sections.filter((text) => text !== '')].join('\n')
}

function networkSection(carry: Carry, one: CarryInterface): string {
  const { servers, domains } = interfaceDns(carry, one)
  const dhcp = one.dhcp4 ? (one.dhcp6 ? 'yes' : 'ipv4') : one.dhcp6 ? 'ipv6' : 'no'
  return section('Network', [
    ['DHCP', dhcp],
    ['IPv6AcceptRA', one.acceptRouterAdvertisements ? 'yes' : 'no'],
    ...servers.map((server): Setting => ['DNS', server]),
    ['Domains', domains.length === 0 ? undefined : domains.join(' ')],
  ])
}

const addressSection = ({ cidr, isDeprecated }: CarryInterface['addresses'][number]): string =>
  section('Address', [
    ['Address', cidr],
    ['PreferredLifetime', isDeprecated === true ? 0 : undefined],
  ])

function routeSection(route: CarryRoute): string {
  const all = route.family === 'inet' ? '0.0.0.0/0' : '::/0'
  const direct = route.gateway === undefined && route.family === 'inet'
  return section('Route', [
    ['Destination', route.destination === 'default' ? all : route.destination],
    ['Gateway', route.gateway],
    ['GatewayOnLink', route.onLink && route.gateway !== undefined ? 'yes' : undefined],
    ['Scope', direct ? 'link' : undefined],
    ['Metric', route.metric],
    ['PreferredSource', route.source],
  ])
}

function dhcpSections(carry: Carry, one: CarryInterface): string[] {
  const { dhcp4, dhcp6, acceptRouterAdvertisements, dhcp4ClientId = '' } = one
  const duid = duidSettings(dhcp4ClientId)
  const identifier: Setting = ['ClientIdentifier', duid.length === 0 ? 'mac' : 'duid']
  const metric4: Setting = ['RouteMetric', dynamicMetric(carry, 'inet', one.dhcp4Metric)]
  const metric6: Setting = ['RouteMetric', dynamicMetric(carry, 'inet6', one.advertisedMetric)]
  const gateway: Setting = ['UseGateway', one.dhcp4NoGateway === true ? 'no' : undefined]
  // Without advertisements nothing else tells networkd to ask.
  const alone: Setting = ['WithoutRA', acceptRouterAdvertisements ? undefined : 'solicit']
  return [
    ...(dhcp4 ? [section('DHCPv4', [identifier, ...duid, metric4, gateway])] : []),
    ...(dhcp6 ? [section('DHCPv6', [...duid, alone])] : []),
    ...(acceptRouterAdvertisements ? [section('IPv6AcceptRA', [metric6])] : []),
  ]
}

function dynamicMetric(
  { interfaces }: Carry,
  wanted: CarryRoute['family'],
  metric: number | undefined,
): number {
  const competes = interfaces.some(({ routes }) =>
    routes.some(({ family, destination }) => family === wanted && destination === 'default'),
  )
  const known = Math.max(1, metric ?? DYNAMIC_METRIC)
  return competes ? known : Math.min(known, BELOW_NETWORKD)
}

/** RFC 4361: 255, four bytes of IAID, then the DUID. */
function duidSettings(clientId: string): Setting[] {
  const [, iaid, type = '', data = ''] = /^ff(.{8})(.{4})(.+)$/.exec(clientId) ?? []
  const name = DUID_TYPES[type]
  if (iaid === undefined || name === undefined) return []
  return [
    ['IAID', Number.parseInt(iaid, 16)],
    ['DUIDType', name],
    ['DUIDRawData', data.match(/../g)?.join(':')],
  ]
}

function section(name: string, settings: readonly Setting[]): string {
  const lines = settings.filter(([, value]) => value !== undefined)
  return `[${name}]\n${lines.map(([key, value]) => `${key}=${value}\n`).join('')}`
}
