import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkImage } from './check-image.ts'
import { foreignKeysSuite } from './foreign-keys.ts'
import { imageSuite } from './image.ts'
import { openRefereeRoot, type RefereeRoot, refereesUnavailable } from './referee-root.ts'
import { segmentsSuite } from './segments.ts'

const unavailable = refereesUnavailable()

// One file, so that one root serves all: vitest runs files in processes of their own.
describe.skipIf(unavailable !== undefined)(
  `referees${unavailable ? `: ${unavailable}` : ''}`,
  () => {
    let root: RefereeRoot | undefined
    const opened = (): RefereeRoot => {
      if (root === undefined) throw new Error('the root is not made yet')
      return root
    }

    beforeAll(async () => {
      root = await openRefereeRoot()
    })
    afterAll(() => root?.[Symbol.asyncDispose]())

    describe('segments', () => segmentsSuite(opened))
    describe('keys made by the referees', () => foreignKeysSuite(opened))
    describe('images', () => imageSuite(opened))

    const { OSFLASH_TEST_IMAGE: imagePath, OSFLASH_TEST_IDENTITY: recipientKeyPath } = process.env
    // A real image, made elsewhere: OSFLASH_TEST_IMAGE=FILE OSFLASH_TEST_IDENTITY=recipient.key
    test.runIf(imagePath && recipientKeyPath)('every segment of OSFLASH_TEST_IMAGE', async () => {
      if (!imagePath || !recipientKeyPath) return
      const verdicts = await checkImage(opened(), { imagePath, recipientKeyPath })
      expect(verdicts.length).toBeGreaterThan(0)
    })
  },
)
