/**
 * Does a prefix hold an address?
 *
 * 1. Both families go through `BlockList` of Node, which parses and compares them.
 * 2. A zone (`%eth0`) is no part of the address.
 *
 * Pure.
 */
import { BlockList, isIP } from 'node:net'

/** True when `cidr` (`192.0.2.0/24`, also with host bits) holds `address`. */
export function prefixHolds(cidr: string, address: string): boolean {
  const [network = '', length = ''] = cidr.split('/')
  const plain = withoutZone(address)
  if (isIP(network) === 0 || isIP(network) !== isIP(plain)) return false
  const list = new BlockList()
  const family = isIP(network) === 4 ? 'ipv4' : 'ipv6'
  list.addSubnet(network, Number(length), family)
  return list.check(plain, family)
}

export const isLinkLocal6 = (address: string): boolean => prefixHolds('fe80::/10', address)

export const isLoopback = (address: string): boolean =>
  prefixHolds('127.0.0.0/8', address) || prefixHolds('::1/128', address)

/** `fe80::1%eth0` without its zone. */
export const withoutZone = (address: string): string => address.split('%')[0] ?? address
