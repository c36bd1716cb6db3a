/**
 * A lock on a name, for as long as this process lives.
 *
 * 1. It is an abstract Unix socket: the kernel gives a name to one process at a time, and takes
 *    it back when that process ends, however it ends. So no lock is ever left behind.
 * 2. The name is hashed, because such addresses have at most 107 bytes.
 *
 * Not promised: anything between network namespaces or machines.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { errnoOf, ioError, OsflashError } from '../errors.ts'

/**
 * Takes the lock, or refuses at once.
 * @param what for the message: `writing to /dev/sdb`
 * @throws OsflashError `refused` while another process holds it
 */
export async function holdLock(name: string, what: string): Promise<AsyncDisposable> {
  const server = createServer()
  const digest = createHash('sha256').update(name).digest('hex')
  try {
    server.listen(`\0osflash-${digest}`)
    await once(server, 'listening')
  } catch (cause) {
    if (errnoOf(cause) !== 'EADDRINUSE') throw ioError(`locking ${name}`, cause)
    throw new OsflashError('refused', `${what}: another osflash is at it`, {
      hints: ['wait until it has ended, or stop it'],
    })
  }
  server.unref()
  return {
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
