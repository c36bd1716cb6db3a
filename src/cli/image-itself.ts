/**
 * The image that is read is never what is written to.
 *
 * 1. Same device and same number of the file, so that links and other spellings count.
 */
import { stat } from 'node:fs/promises'
import { OsflashError } from '../errors.ts'

/**
 * With `--force` the image would be overwritten while it is read.
 * @param doing for the message: `unpacking to`
 * @throws OsflashError `refused`
 */
export async function refuseImageItself(image: string, to: string, doing: string): Promise<void> {
  const [one, other] = await Promise.all(
    [image, to].map((path) => stat(path).catch(() => undefined)),
  )
  if (one === undefined || one.dev !== other?.dev || one.ino !== other.ino) return
  throw new OsflashError('refused', `${doing} ${to}: it is the image itself`, {
    hints: ['choose another --to'],
  })
}
