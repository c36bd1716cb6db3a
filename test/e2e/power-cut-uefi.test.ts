import { test } from 'vitest'
import { powerCutRuns, SLOW, surviveCuts } from './power-cuts.ts'

test.concurrent.for(powerCutRuns('uefi'))(
  '$name: after each power cut something answers, and the run ends well',
  SLOW,
  surviveCuts,
)
