"""Navigation: `streamlit run dashboard/app.py`."""

import sys
from pathlib import Path

# Streamlit puts this file's folder first; the packages beside it must come before it.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import streamlit as st

from dashboard import access
from dashboard.show import choose_language

st.set_page_config(page_title="Witnessmark", page_icon="🔎", layout="wide")
# A chart has the size at which its words are readable; on a narrow screen the whole is drawn smaller, not cut.
st.html(
    "<style>[data-testid='stVegaLiteChart'] :is(canvas, svg) { max-width: 100%; height: auto !important; }"
    " [data-testid='stPageLink'] :is(a, a *) { white-space: normal; }</style>"  # so are names of links broken into lines
)
say = choose_language()
# The folder is not called pages: Streamlit would run its files on a deep link before this navigation is known.
page = st.navigation(
    [
        st.Page("views/models.py", title=say.t("Models"), default=True),
        st.Page("views/audit_page.py", title=say.t("One audit"), url_path="audit"),
        st.Page("views/fairness_page.py", title=say.t("Fairness"), url_path="fairness"),
        st.Page("views/explanations_page.py", title=say.t("Explanations"), url_path="explanations"),
        st.Page("views/errors_page.py", title=say.t("Errors"), url_path="errors"),
        st.Page("views/compare_page.py", title=say.t("Compare"), url_path="compare"),
        st.Page("views/compliance_page.py", title=say.t("Compliance"), url_path="compliance"),
        st.Page("views/run_page.py", title=say.t("Run"), url_path="run"),
        st.Page("views/checks_page.py", title=say.t("About the checks"), url_path="checks"),
    ],
    position="top",
)
access.admit()
access.opened(page=page.url_path or "models")
page.run()
