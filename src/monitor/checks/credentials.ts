import { readFile, stat } from 'node:fs/promises'
import type { Caller } from '../../aliyun/caller.js'
import { type Credentials, inEnvironment } from '../../aliyun/credentials.js'
import { systemCode, toCertError } from '../../errors.js'
import { type Check, failed, failedBy, type Outcome, ok, unknown, warning } from '../check.js'
import { parseEnvironmentFile } from '../environment-file.js'
import type { Situation } from '../situation.js'
import { timerOf } from '../timer.js'

const idName = 'ALIBABA_CLOUD_ACCESS_KEY_ID'
const secretName = 'ALIBABA_CLOUD_ACCESS_KEY_SECRET'

export const credentialChecks = (situation: Situation): readonly Check[] => {
  const { context, caller, timer, permissions } = situation
  const about = 'credentials'
  // The role of a machine is asked for over the network.
  const asks = situation.process.environment[idName] ? {} : ({ reaches: true } as const)
  const isNeeded = permissions.length > 0
  return [
    {
      id: 'credentials',
      about,
      what: 'the credentials',
      ...asks,
      run: async () => {
        try {
          return foundOutcome(await context.credentials())
        } catch (error) {
          return isNeeded ? failedBy(error) : unknown(`${toCertError(error).message}, and nothing here needs any`)
        }
      },
    },
    {
      id: 'caller',
      about,
      what: 'whose credentials these are',
      reaches: true,
      run: async (signal) => {
        try {
          return callerOutcome(await caller.ask(signal))
        } catch (error) {
          return unasked(error, caller.url)
        }
      },
    },
    {
      id: 'timer-credentials',
      about,
      what: 'whether the timer will have credentials',
      ...asks,
      run: async (signal) => {
        const file = await readVariables(timer.environment)
        const [own, found] = await Promise.all([
          context.credentials().catch(() => undefined),
          timerOf(situation, signal),
        ])
        return timerOutcome(timer.environment, file, own, isNeeded && found.kind !== 'none')
      },
    },
    {
      id: 'timer-file',
      about,
      what: `who may read ${timer.environment}`,
      run: async () => fileOutcome(timer.environment, await readVariables(timer.environment)),
    },
  ]
}

/** As much of a key's id as tells it from others. */
const endOf = (id: string): string => `…${id.slice(-4)}`

const foundOutcome = ({ accessKeyId, securityToken, foundBy }: Credentials): Outcome =>
  ok(
    `credentials come from ${foundBy ?? 'somewhere'}: ${securityToken === undefined ? 'the access key' : 'temporary ones, with the access key'} ${endOf(accessKeyId.reveal())}`,
  )

export const callerOutcome = ({ accountId, arn, isAccount }: Caller): Outcome => {
  const account = `account ${accountId ?? 'unknown'}`
  if (isAccount) {
    return warning(
      `the access key is of ${account} itself, and may do everything there`,
      'make a RAM user with what acme-oss policy prints, use its key, and delete this one',
    )
  }
  const [, kind, name = ''] = /:(user|assumed-role|role)\/(.+)$/.exec(arn ?? '') ?? []
  const who = kind === undefined ? (arn ?? 'somebody') : `the RAM ${kind === 'user' ? 'user' : 'role'} ${name}`
  return ok(`they are those of ${who} in ${account}`)
}

/** A key that there is not is a failure; STS may be out of reach where OSS is not. */
const unasked = (error: unknown, { host }: URL): Outcome => {
  const { code, message, hint } = toCertError(error)
  if (code === 'CREDENTIALS_MISSING') return unknown(`whose credentials these are: ${message}`)
  return code === 'CLOUD_REFUSED'
    ? failedBy(error)
    : unknown(message, `${hint ?? `see whether this machine reaches ${host}`}; another endpoint: --sts-endpoint URL`)
}

export interface VariableFile {
  readonly status: 'read' | 'absent' | 'unreadable'
  readonly mode: number
  readonly variables: Readonly<Record<string, string>>
}

const readVariables = async (path: string): Promise<VariableFile> => {
  try {
    const { mode } = await stat(path)
    const none = { status: 'unreadable', mode, variables: {} } as const
    return await readFile(path, 'utf8').then(
      (text) => ({ status: 'read', mode, variables: parseEnvironmentFile(text) }) as const,
      () => none,
    )
  } catch (error) {
    const isAbsent = ['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')
    return { status: isAbsent ? 'absent' : 'unreadable', mode: 0, variables: {} }
  }
}

export const fileOutcome = (path: string, { status, mode }: VariableFile): Outcome => {
  if (status === 'absent') return unknown(`${path} is not there: the timer and the hooks get no variables from it`)
  return (mode & 0o077) !== 0
    ? failed(`${path}, which access keys lie in, can be read by others`, `chmod 600 ${path}`)
    : ok(`${path} can be read by its owner alone`)
}

/** @param isAwaited is there a timer, and does it need any? */
export const timerOutcome = (
  path: string,
  { status, variables }: VariableFile,
  own: Credentials | undefined,
  isAwaited: boolean,
): Outcome => {
  const say = isAwaited ? failed : warning
  const write = `write ${idName} and ${secretName} into ${path}`
  if (status === 'unreadable') return unknown(`${path} cannot be read by this user`, 'run acme-oss doctor as root')
  const [id, secret] = [variables[idName], variables[secretName]]
  if (id && secret) {
    const ownId = own?.accessKeyId.reveal()
    if (ownId === undefined || own?.foundBy !== inEnvironment || ownId === id)
      return ok(`the timer has the access key ${endOf(id)} of ${path}`)
    return warning(
      `the timer has another access key (${endOf(id)} of ${path}) than this call (${endOf(ownId)}): what is found here need not be so there`,
      `write the same one into ${path}; or look with the timer's: /usr/local/lib/acme-oss/hooks/with-environment acme-oss doctor`,
    )
  }
  if (id || secret)
    return say(`${path} has ${id ? idName : secretName} in it and not ${id ? secretName : idName}`, write)
  if (own?.foundBy === inEnvironment) {
    return say(
      `the access key is in the environment of this call alone: ${path} has none, so the timer has none`,
      write,
    )
  }
  return own === undefined
    ? unknown(`${path} has no access key, and none is found here either`)
    : ok(`the timer finds the same as this call, if it runs as the same user: ${own.foundBy}`)
}
