/**
 * Addresses of images: which are taken, where a redirect may lead, how they are shown.
 *
 * 1. http and https; a name and a password in an address are refused: it ends up in logs.
 * 2. A redirect never leads from https to http, and nowhere else than these two.
 * 3. Shown without the query, which may hold a token.
 *
 * Pure.
 */
import { OsflashError } from '../errors.ts'
import { type Fault, final } from './http-fault.ts'

/** @throws OsflashError `usage` */
export function parseHttpAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !isHttp(url)) {
    throw new OsflashError('usage', `opening ${text}: not an http or https address`, {
      hints: ['an address looks like https://images.example/debian-13.osimg'],
    })
  }
  if (hasCredentials(url)) {
    throw new OsflashError('usage', `opening ${shownAddress(url)}: a password in the address`, {
      hints: ['images are encrypted and signed: serve them without a password'],
    })
  }
  return url
}

/** Where a redirect leads, or why it is not followed. */
export function redirectedTo(from: URL, location: string | undefined): URL | Fault {
  const hints = ['give the final address']
  if (location === undefined) return final('the server redirects to nowhere', hints)
  const base = from.href
  if (!URL.canParse(location, base)) return final('the server redirects to no address', hints)
  const to = new URL(location, base)
  const shown = shownAddress(to)
  if (from.protocol === 'https:' && to.protocol !== 'https:') {
    return final(`the server redirects from https to ${shown}`, [
      'redirects never leave https; give the final address',
    ])
  }
  if (!isHttp(to)) return final(`the server redirects to ${shown}`, hints)
  if (hasCredentials(to)) return final(`the server redirects to a password at ${shown}`, hints)
  return to
}

/** The address for messages: no query, no password, no fragment. */
export function shownAddress(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}${url.search === '' ? '' : '?…'}`
}

const isHttp = (url: URL): boolean => url.protocol === 'http:' || url.protocol === 'https:'
const hasCredentials = (url: URL): boolean => url.username !== '' || url.password !== ''
