/**
 * Which interface names which name servers.
 *
 * 1. Its own servers and domains come first.
 * 2. Those of the host go to each interface with a default route, since they are reached there; if
 *    none has one, to the first.
 *
 * Pure.
 */
import type { Carry, CarryInterface } from './model.ts'

export interface InterfaceDns {
  readonly servers: readonly string[]
  readonly domains: readonly string[]
}

/** What to render for one interface of the carry. */
export function interfaceDns(carry: Carry, own: CarryInterface): InterfaceDns {
  const gates = carry.interfaces.filter(leadsOut)
  const takesHosts = gates.length > 0 ? gates.includes(own) : carry.interfaces[0] === own
  return {
    servers: unique([...own.dnsServers, ...(takesHosts ? carry.dnsServers : [])]),
    domains: unique([...own.dnsDomains, ...(takesHosts ? carry.dnsDomains : [])]),
  }
}

function leadsOut(one: CarryInterface): boolean {
  const isDefault = one.routes.some(({ destination }) => destination === 'default')
  const isLeased = one.dhcp4 && one.dhcp4NoGateway !== true
  return isDefault || isLeased || one.acceptRouterAdvertisements
}

const unique = (words: readonly string[]): string[] => [...new Set(words)]
