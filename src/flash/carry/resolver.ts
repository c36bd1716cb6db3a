/**
 * Name servers and search domains of resolv.conf.
 *
 * 1. `nameserver` lines count in their order, `domain` and `search` give the domains; the last one
 *    of these counts, as in the C library.
 * 2. A server of the host itself (127.0.0.53) is a stub: what stands behind it is asked for in
 *    another file, so stubs are left out here.
 *
 * Pure.
 */
import { isIP } from 'node:net'
import { isLoopback, withoutZone } from './ip-prefix.ts'

export interface Resolver {
  /** A link-local one has the zone of its interface: `fe80::1%eth0`. */
  readonly servers: readonly string[]
  readonly domains: readonly string[]
  /** A server of the host itself was named. */
  readonly hasStub: boolean
}

/** Reads resolv.conf(5). */
export function readResolvConf(text: string): Resolver {
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/))
  const named = lines.filter(([word]) => word === 'nameserver').map(([, server = '']) => server)
  const servers = named.filter((server) => isIP(withoutZone(server)) !== 0)
  const search = lines.findLast(([word]) => word === 'search' || word === 'domain')
  return {
    servers: [...new Set(servers.filter((server) => !isLoopback(server)))],
    domains: (search ?? []).slice(1).filter((domain) => domain !== '.'),
    hasStub: servers.some((server) => isLoopback(server)),
  }
}
