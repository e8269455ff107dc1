import { accountId } from '../account.js'
import { metadataOf } from '../pop/metadata.js'
import type { PopOperation, Product } from '../pop/operation.js'

/** Everybody may ask who they are; whether that is so for a user without any policy is not documented. */
const getCallerIdentity: PopOperation = {
  name: 'GetCallerIdentity',
  metadata: metadataOf('sts', 'GetCallerIdentity'),
  resources: () => [],
  perform: ({ sender }) => {
    if (sender.ofAccount)
      return { IdentityType: 'Account', AccountId: accountId, UserId: accountId, Arn: `acs:ram::${accountId}:root` }
    return sender.token === undefined
      ? {
          IdentityType: 'RAMUser',
          AccountId: accountId,
          UserId: '200000000000000001',
          Arn: `acs:ram::${accountId}:user/acme-oss`,
        }
      : {
          IdentityType: 'AssumedRoleUser',
          AccountId: accountId,
          RoleId: '300000000000000001',
          Arn: `acs:ram::${accountId}:assumed-role/acme-oss/session`,
        }
  },
}

/** The Security Token Service. */
export const stsProduct = (): Product => ({
  ram: 'sts',
  host: 'sts',
  version: '2015-04-01',
  operations: [getCallerIdentity],
  callsPerSecond: () => undefined,
})
