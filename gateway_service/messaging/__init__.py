"""The gateway's ends of the broker: releases go out, reports and failures come in."""
