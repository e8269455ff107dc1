import type { Check } from '../check.js'
import type { Situation } from '../situation.js'
import { bucketChecks } from './bucket.js'
import { clockChecks } from './clock.js'
import { configurationChecks } from './configuration.js'
import { credentialChecks } from './credentials.js'
import { dnsChecks } from './dns.js'
import { domainChecks } from './domains.js'
import { permissionChecks } from './permissions.js'
import { programChecks } from './program.js'
import { rootChecks } from './roots.js'
import { servedChecks } from './served.js'
import { stateChecks } from './state.js'
import { timerChecks } from './timer.js'

/** All that is looked at, in the order in which it is shown. A new group is a file and a line here. */
const groups: readonly ((situation: Situation) => readonly Check[])[] = [
  programChecks,
  configurationChecks,
  stateChecks,
  timerChecks,
  credentialChecks,
  clockChecks,
  bucketChecks,
  permissionChecks,
  domainChecks,
  dnsChecks,
  servedChecks,
  rootChecks,
]

export const checksOf = (situation: Situation): Check[] => groups.flatMap((group) => group(situation))
