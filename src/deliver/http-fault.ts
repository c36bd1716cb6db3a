/**
 * What went wrong with one HTTP request, and whether trying again may help.
 *
 * 1. A fault is a value: it becomes an `OsflashError` only when nobody tries again.
 * 2. Transient: what a moment can mend (connection lost, 503, short body). Everything that a
 *    server says or does wrong on purpose is final.
 *
 * Pure.
 */
import { errnoOf, OsflashError } from '../errors.ts'

export interface Fault {
  /** As the end of a message: `the server answers 404`. */
  readonly what: string
  readonly transient: boolean
  readonly hints: readonly string[]
  readonly status?: number
  /** The server's wish, or 0 where waiting would be senseless. */
  readonly afterMs?: number
}

/** A fault that another attempt may not meet. */
export const transient = (what: string, more: Partial<Fault> = {}): Fault => ({
  what,
  transient: true,
  hints: ['look at the network and the server, then run the same command again'],
  ...more,
})

/** A fault that every attempt would meet. */
export const final = (
  what: string,
  hints: readonly string[],
  more: Partial<Fault> = {},
): Fault => ({
  what,
  transient: false,
  hints,
  ...more,
})

interface FaultPlace {
  /** The address as it may be shown. */
  readonly name: string
  /** Who failed: another than in the address after a redirect. */
  readonly host: string
  /** In the image, in bytes. */
  readonly offset: number
  /** Made without progress, at least 1. */
  readonly attempts: number
}

/** The error of a fault that ends the reading. */
export function networkError(fault: Fault, place: FaultPlace): OsflashError {
  const { name, host, offset, attempts } = place
  const { status, hints } = fault
  const via = name.includes(`//${host}/`) ? '' : ` from ${host}`
  const tried = attempts > 1 ? ` (tried ${attempts} times)` : ''
  return new OsflashError(
    'network',
    `reading ${name}${via} at byte ${offset}: ${fault.what}${tried}`,
    { data: { host, offset, attempts, ...(status && { status }) }, hints },
  )
}

const CONNECTION_TEXT: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was reset',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name server does not answer',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'the network is unreachable',
  ETIMEDOUT: 'the connection timed out',
}

/** What OpenSSL says of a certificate; node gives it as the error's code. */
const CERTIFICATE =
  /^(CERT_|ERR_TLS_CERT|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_|INVALID_CA|INVALID_PURPOSE)/

/** The fault of a failed connection, from what node's http module throws. */
export function connectionFault(cause: unknown): Fault {
  const code = errnoOf(cause) ?? ''
  if (code === 'HPE_HEADER_OVERFLOW') {
    return final('its headers are over the limit of httpHeaderBytes', ['use another server'])
  }
  if (CERTIFICATE.test(code)) {
    return final(`its certificate is not believed: ${code}`, [
      'look at the date of this host, and at the certificate: openssl s_client -connect HOST:443',
    ])
  }
  const text = cause instanceof Error && cause.message !== '' ? cause.message : String(cause)
  return transient(CONNECTION_TEXT[code] ?? text)
}
