import { join, resolve } from 'node:path'
import { CertError, toCertError } from '../errors.js'
import { StateFolder } from '../state/state-folder.js'
import type { Looking } from '../targets/served.js'
import type { Surroundings } from './command.js'
import { text, toggle, type Values, wholeNumber } from './flag.js'
import { proofFlags } from './proof-flags.js'

/** What every command takes. */
export const commonFlags = {
  config: text('the configuration file [~/.config/acme-oss/acme-oss.yaml, else /etc/acme-oss/acme-oss.yaml]', {
    placeholder: 'FILE',
  }),
  'state-dir': text('where wanted deployments and issued certificates are kept', { placeholder: 'DIR' }),
  json: toggle('print the result as one JSON object on standard output'),
  verbose: toggle('show every request', { alias: 'v' }),
  quiet: toggle('show nothing but the result, warnings and errors', { alias: 'q' }),
  'no-color': toggle('no colours (NO_COLOR is heeded as well)'),
}

/** What every command takes that reaches for the cloud. */
export const reachFlags = {
  timeout: wholeNumber('seconds for one request with all its retries', { min: 1, max: 3600, fallback: 60 }),
}

const lookFlagsFor = (seconds: number) => ({
  'verify-timeout': wholeNumber('with --verify: seconds to wait until every address serves it', {
    min: 0,
    max: 86_400,
    fallback: seconds,
  }),
  ...proofFlags,
})

/** What every command takes that looks at what is served. */
export const lookFlags = lookFlagsFor(600)

/** The same for one that comes again by itself. */
export const briefLookFlags = lookFlagsFor(60)

/** How to look, out of such flags. */
export const lookingOf = (values: Values<typeof lookFlags>): Pick<Looking, 'connect' | 'nameServer' | 'limit'> => ({
  connect: values.connect,
  nameServer: values['dns-resolver'],
  limit: values['verify-timeout'] * 1000,
})

/** What every command takes that deploys one certificate. */
export const deployFlags = {
  name: text('what the certificate is filed under [its first name]', { placeholder: 'NAME' }),
  ...reachFlags,
  ...lookFlags,
  'dry-run': toggle('say what would be done, and do nothing: needs no credentials and no network'),
}

export type Common = Values<typeof commonFlags>

/** @throws CertError STATE_UNUSABLE */
export const stateRoot = (values: Common, { isRoot, homeFolder }: Surroundings): string => {
  if (values['state-dir'] !== undefined) return resolve(values['state-dir'])
  if (isRoot) return '/var/lib/acme-oss'
  if (homeFolder !== undefined) return join(homeFolder, '.local/state/acme-oss')
  throw new CertError('STATE_UNUSABLE', 'this user has no home folder, and no state folder is given', {
    hint: 'name one with --state-dir or ACME_OSS_STATE_DIR',
  })
}

/** The state folder, or why there is none: being deployed matters more than being recorded. */
export const openState = async (values: Common, surroundings: Surroundings): Promise<StateFolder | CertError> => {
  try {
    return await StateFolder.open(stateRoot(values, surroundings))
  } catch (error) {
    return toCertError(error)
  }
}
