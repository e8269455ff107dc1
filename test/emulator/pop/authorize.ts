import type { AccessKey } from '../access-key.js'
import { accountId } from '../account.js'
import { decide } from '../permissions.js'
import { PopRefusal } from './refusal.js'

/** Throws unless the sender may, with the details by which a tool can say which permission is missing. */
export const authorize = (key: AccessKey, action: string, resource: string): void => {
  const verdict = decide(key, action, resource)
  if (verdict === 'allowed') return
  throw new PopRefusal(
    403,
    'Forbidden.RAM',
    "User not authorized to operate on the specified resource, or this API doesn't support RAM.",
    {
      AccessDeniedDetail: {
        AuthAction: action,
        AuthPrincipalDisplayName: key.id,
        AuthPrincipalOwnerId: accountId,
        AuthPrincipalType: key.token === undefined ? 'SubUser' : 'AssumedRoleUser',
        NoPermissionType: verdict === 'explicit-deny' ? 'ExplicitDeny' : 'ImplicitDeny',
        PolicyType: 'AccountLevelIdentityBasedPolicy',
      },
    },
  )
}
