import { CertError } from '../errors.js'
import { Secret } from '../secret.js'

export interface Credentials {
  readonly accessKeyId: Secret
  readonly accessKeySecret: Secret
  /** Present for temporary credentials (STS). */
  readonly securityToken: Secret | undefined
  /** By which means they were found, as the reader would name it. */
  readonly foundBy?: string | undefined
}

/** Asked before every request, so that temporary credentials are renewed during a long run. */
export type CredentialSource = () => Promise<Credentials>

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The official default chain: environment, OIDC (RRSA), `~/.aliyun/config.json`, `~/.alibabacloud/credentials`, the
 * RAM role of the ECS instance, `ALIBABA_CLOUD_CREDENTIALS_URI`. Keys in the environment are read here, which saves
 * loading the SDK for the most common case.
 * @throws CertError CREDENTIALS_MISSING, when asked
 */
export const defaultCredentials = (environment: Environment): CredentialSource => {
  // Files that secrets are mounted from end in a line feed.
  const id = environment['ALIBABA_CLOUD_ACCESS_KEY_ID']?.trim()
  const secret = environment['ALIBABA_CLOUD_ACCESS_KEY_SECRET']?.trim()
  if (!id || !secret) return defaultChain()
  const token = environment['ALIBABA_CLOUD_SECURITY_TOKEN']?.trim()
  const credentials = toCredentials(id, secret, token, inEnvironment)
  return async () => credentials
}

export const inEnvironment = 'the environment'

const toCredentials = (id: string, secret: string, token: string | undefined, foundBy: string): Credentials => ({
  accessKeyId: new Secret(id),
  accessKeySecret: new Secret(secret),
  securityToken: token ? new Secret(token) : undefined,
  foundBy,
})

/** What the SDK calls its providers: `default/cli_profile/static_ak`. The first that is part of it. */
const providers: readonly (readonly [part: string, name: string])[] = [
  // Within a profile any of the others may stand.
  ['cli_profile', 'the profile in ~/.aliyun/config.json'],
  ['profile', 'the profile in ~/.alibabacloud/credentials'],
  ['env', inEnvironment],
  ['oidc', 'the OIDC token of the pod (RRSA)'],
  ['ecs_ram_role', 'the RAM role of the machine'],
  ['uri', 'ALIBABA_CLOUD_CREDENTIALS_URI'],
]

const nameOf = (provider = ''): string =>
  providers.find(([part]) => provider.includes(part))?.[1] ?? 'the default chain of Alibaba Cloud'

/** The one door to @alicloud/credentials. */
const defaultChain = (): CredentialSource => {
  let chain: Promise<{ getCredential(): Promise<ChainAnswer> }> | undefined
  let last: Credentials | undefined
  const ask = async (): Promise<Credentials> => {
    chain ??= import('@alicloud/credentials').then(({ default: module }) => new module.default())
    try {
      const answer = await (await chain).getCredential()
      if (!answer.accessKeyId || !answer.accessKeySecret) throw missing()
      const same =
        last?.accessKeyId.reveal() === answer.accessKeyId &&
        last.securityToken?.reveal() === (answer.securityToken || undefined)
      if (!same) {
        const { accessKeyId, accessKeySecret, securityToken, providerName } = answer
        last = toCredentials(accessKeyId, accessKeySecret, securityToken, nameOf(providerName))
      }
      return last as Credentials
    } catch {
      // After a failure the SDK's chain stays with the provider that failed, so the next attempt needs a new one. Its
      // message is dropped: it can quote the whole credentials file.
      chain = undefined
      throw missing()
    }
  }
  // While it looks for the provider that answers, the SDK's chain must not be asked again: it would fail.
  let asking: Promise<Credentials> | undefined
  return () => {
    asking ??= ask().finally(() => {
      asking = undefined
    })
    return asking
  }
}

interface ChainAnswer {
  readonly accessKeyId?: string
  readonly accessKeySecret?: string
  readonly securityToken?: string
  readonly providerName?: string
}

const missing = (): CertError =>
  new CertError('CREDENTIALS_MISSING', 'no usable Alibaba Cloud credentials were found', {
    passing: true,
    hint: 'set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET (for the timer: in /etc/acme-oss/env), or give the machine a RAM role, or write ~/.aliyun/config.json with the aliyun command',
  })
