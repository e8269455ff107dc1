import { type RpcClient, textOf } from './rpc.js'

export const stsVersion = '2015-04-01'

/** Whose credentials they are. */
export interface Caller {
  readonly accountId: string | undefined
  /** Such as `acs:ram::1000000000000000:user/acme-oss`. */
  readonly arn: string | undefined
  /** Are they of the account itself, which may do everything? */
  readonly isAccount: boolean
}

/** @throws CertError */
export const callerOf = async (client: RpcClient, signal: AbortSignal): Promise<Caller> => {
  const attempted = {
    doing: 'asking STS whose credentials these are',
    action: 'sts:GetCallerIdentity',
    resource: '*',
  }
  const answer = await client.call('GetCallerIdentity', {}, attempted, signal)
  const arn = textOf(answer['Arn'])
  return {
    accountId: textOf(answer['AccountId']),
    arn,
    isAccount: textOf(answer['IdentityType']) === 'Account' || /:root$/.test(arn ?? ''),
  }
}
